"""The Python program under test: one function a module; `modules.py NAME` runs one."""

import os
import sys


def use_json():
    import json
    value = {"a": [1, 2.5, None, True], "b": {"text": "\u00fcml\u00e4ut \U0001f600"}}
    text = json.dumps(value, sort_keys=True, indent=1)
    assert json.loads(text) == value
    print(text)


def use_sqlite3():
    import sqlite3
    database = sqlite3.connect(os.path.join(os.environ["TMPDIR"], "python.db"))
    database.execute("create table t(a integer primary key, b text)")
    database.executemany("insert into t values(?, ?)", ((i, f"row {i}") for i in range(10000)))
    database.commit()
    print(database.execute("select count(*), sum(a), max(b) from t").fetchone())
    print(database.execute("pragma integrity_check").fetchone())


def use_ssl():
    """A TLS connection between two ends in memory, with the certificate that the test made."""
    import ssl
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(sys.argv[2], sys.argv[3])
    client.load_verify_locations(sys.argv[2])
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(a, b, server_hostname="occlum.test")
    right = server.wrap_bio(b, a, server_side=True)
    done = set()
    while len(done) < 2:
        for end in (left, right):
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                pass
    left.write(b"a secret")
    print(right.read(100), left.version(), dict(left.getpeercert()["subject"][0]))
    import hashlib
    print(hashlib.sha3_256(b"x" * 1000000).hexdigest())


def use_numpy():
    import numpy
    a = numpy.arange(1.0, 90001.0).reshape(300, 300) % 17
    b = numpy.linalg.inv(a + numpy.eye(300) * 100)
    print(numpy.round(numpy.trace(b), 6), int((a @ a.T).sum()), numpy.round(numpy.fft.fft(a[0])[1].real, 3))
    print(numpy.sort(a.ravel())[::9000].tolist())


def use_threading():
    import threading
    from concurrent.futures import ThreadPoolExecutor
    total, lock, ready = [0], threading.Lock(), threading.Barrier(20)

    def work():
        ready.wait()
        for _ in range(1000):
            with lock:
                total[0] += 1

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(total[0])
    with ThreadPoolExecutor(8) as pool:
        print(sum(pool.map(lambda n: n * n, range(1000))))


def use_asyncio():
    import asyncio

    async def handle(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    async def ask(port, n):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"question {n}\n".encode())
        answer = await reader.readline()
        writer.close()
        return answer

    async def main():
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        answers = await asyncio.gather(*(ask(port, n) for n in range(50)))
        await asyncio.sleep(0.02)
        print(len(answers), answers[7], answers[49])
        server.close()

    asyncio.run(main())


def use_subprocess():
    import subprocess
    done = subprocess.run(["/bin/cat"], input=b"through a child", stdout=subprocess.PIPE, check=False)
    print(done.returncode, done.stdout)
    print(subprocess.run(["/bin/false"], check=False).returncode)
    print(subprocess.run(["/usr/bin/env"], env={"ONLY": "this"}, stdout=subprocess.PIPE, check=False).stdout)
    sleeper = subprocess.Popen(["/bin/sleep", "1000"])
    sleeper.terminate()
    print(sleeper.wait())
    try:
        subprocess.run(["/no/such/program"], check=False)
    except FileNotFoundError as error:
        print(error.errno)


def use_more():
    import ctypes
    import datetime
    import decimal
    import mmap
    import re
    import tempfile
    import zlib
    print(ctypes.CDLL(None).abs(-5), decimal.Decimal(1) / 7, re.sub(r"(\w)(\w)", r"\2\1", "abcdef"))
    print(datetime.datetime.fromtimestamp(0, datetime.timezone.utc), zlib.crc32(b"text" * 100000))
    with tempfile.TemporaryFile() as file:
        file.write(b"mapped" * 1000)
        file.flush()
        with mmap.mmap(file.fileno(), 0) as view:
            view[0:6] = b"MAPPED"
            print(view[0:12], view.find(b"mapped", 100))
    print(sorted(os.listdir("/proc/self/fd"))[:3], os.cpu_count() > 0, len(os.urandom(10)))


globals()["use_" + sys.argv[1]]()
