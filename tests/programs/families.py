"""Programs that fork, and programs at the same addresses: shells, git, make, compilers, node, Java, Python, tar."""

import pathlib
import subprocess

from table import Spec


def c_project(directory: pathlib.Path):
    """Two programs of a few files, in C and C++, with a Makefile."""
    (directory / "main.c").write_text('#include <stdio.h>\nint twice(int);\nint main(void) { printf("%d\\n", twice(21)); return 6; }\n')
    (directory / "twice.c").write_text("int twice(int x) { return 2 * x; }\n")
    (directory / "other.cc").write_text('#include <algorithm>\n#include <iostream>\n#include <vector>\n'
                                        "int main() { std::vector<int> v{3, 1, 2}; std::ranges::sort(v); std::cout << v[0] << v[2] << std::endl; }\n")
    (directory / "Makefile").write_text("all: prog other\nprog: main.o twice.o\n\tgcc -o $@ $^\n%.o: %.c\n\tgcc -O2 -Wall -c -o $@ $<\n"
                                        "other: other.cc\n\tg++ -std=c++20 -o $@ $<\n")


def tree(directory: pathlib.Path):
    for i in range(40):
        (directory / f"f{i}").write_text(f"{i}\n" * 500)


JAVA = r"""
import java.io.*; import java.util.*;
public class H {
  public static void main(String[] a) throws Exception {
    System.out.println("hello");
    int[] x = new Random(1).ints(500000).toArray();
    Arrays.parallelSort(x);
    for (int i = 1; i < x.length; i++) if (x[i - 1] > x[i]) throw new Error();
    Thread[] t = new Thread[8]; long[] sums = new long[8];
    for (int i = 0; i < 8; i++) { final int n = i; t[i] = new Thread(() -> { for (int k = 0; k < 100000; k++) sums[n] += k * n; }); t[i].start(); }
    for (Thread one : t) one.join();
    System.out.println(Arrays.stream(sums).sum());
    Process p = new ProcessBuilder("cat").start();
    p.getOutputStream().write("through a child".getBytes()); p.getOutputStream().close();
    System.out.println(new BufferedReader(new InputStreamReader(p.getInputStream())).readLine() + " " + p.waitFor());
  }
}
"""


def java_class(directory: pathlib.Path):
    (directory / "H.java").write_text(JAVA)
    subprocess.run(["javac", "-d", str(directory), str(directory / "H.java")], check=True)


NODE = """
const {execSync, spawn, fork} = require('child_process');
const {Worker} = require('worker_threads');
console.log(execSync('echo piped | tr a-z A-Z').toString().trim());
let f = (n) => n < 2 ? n : f(n - 1) + f(n - 2);
console.log(f(24));
const w = new Worker('const {parentPort, workerData} = require("worker_threads"); parentPort.postMessage(workerData * 2)', {eval: true, workerData: 21});
w.on('message', (m) => { console.log('worker', m);
  const c = spawn('sort', ['-r']); let out = '';
  c.stdout.on('data', (d) => out += d); c.on('close', (code) => { console.log(out.replace(/\\n/g, ' '), code); process.exit(3); });
  c.stdin.end('a\\nc\\nb\\n');
});
"""

PYTHON = """
import multiprocessing as m, os, sys
def square(x): return x * x
def count(lock, value):
    for _ in range(200):
        with lock: value.value += 1
def main():
    for method in ('fork', 'spawn', 'forkserver'):
        ctx = m.get_context(method)
        with ctx.Pool(3) as pool: print(method, sum(pool.map(square, range(300))))
        lock, value = ctx.Lock(), ctx.Value('i', 0)
        ps = [ctx.Process(target=count, args=(lock, value)) for _ in range(3)]
        for p in ps: p.start()
        for p in ps: p.join()
        print(value.value, [p.exitcode for p in ps])
        q = ctx.Queue()
        p = ctx.Process(target=q.put, args=({'from': method},)); p.start(); print(q.get()); p.join()
    r, w = os.pipe()
    if os.fork() == 0:
        os.write(w, b'child'); os._exit(4)
    print(os.read(r, 9), os.wait()[1] >> 8)
if __name__ == '__main__': main()
"""

GIT = """set -e
export HOME={tmp} GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
mkdir repo; cd repo; git init -q -b main .; git config user.email a@b.c; git config user.name n
for i in 1 2 3 4; do seq $((i * 100)) > f$i; git add f$i; git commit -qm "commit $i"; done
git checkout -q -b side HEAD~2; echo more >> f1; git commit -qam side; git checkout -q main; git merge -q -m merged side
git log --oneline --graph | cat; git gc -q; git fsck 2>&1; git status -s; git rev-parse HEAD; git diff HEAD~1 --stat | cat
"""


# A shell that talks with node for as long as it lives, while it starts its own tools beside it.
BUSYBOX_NODE = r"""
mkfifo in out
node -e 'let n = 0; require("readline").createInterface({input: process.stdin}).on("line", (l) => console.log(++n, l * l)).on("close", () => process.exit(n))' < in > out &
exec 3> in 4< out
i=0
while [ $i -lt 20 ]; do
  i=$(busybox expr $i + 1)
  echo $i >&3
  read -r count square <&4
  echo $count $square $(busybox expr $i '*' $i) $(busybox seq $i | busybox md5sum | busybox cut -c 1-8)
done
kill -0 $! && echo still there
exec 3>&-
wait $!
echo $?
"""


# Not as root, which the server refuses; on a port and with a socket of its own.
POSTGRES = """set -e
export PATH=/usr/lib/postgresql/15/bin:$PATH LC_ALL=C HOME=/tmp
D=$(mktemp -d /tmp/pg.XXXXXX); chown postgres $D
run() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
run initdb -D $D/data -A trust -U postgres > $D/log 2>&1 || { cat $D/log; exit 1; }
run pg_ctl -D $D/data -o "-k $D -c listen_addresses=" -w -l $D/data/log start > /dev/null || { cat $D/data/log; exit 1; }
psql -h $D -U postgres -Atc 'select sum(x) from generate_series(1, 1000) x'
pgbench -h $D -U postgres -i -s 1 -q postgres > /dev/null 2>&1
pgbench -h $D -U postgres -c 4 -t 50 postgres 2> /dev/null | grep -E 'processed|failed'
psql -h $D -U postgres -Atc 'select count(*) from pgbench_history'
run pg_ctl -D $D/data -m fast -w stop > /dev/null
rm -rf $D
"""


def specs() -> list[Spec]:
    return [
        Spec("bash.subshells", ["/bin/bash", "-c", "x=1; (x=2; echo $x; exit 3); echo $? $x; y=$(echo a; echo b); echo \"$y\";"
                                " seq 5 | while read n; do echo $((n * n)); done | sort -rn | head -2; cat <(echo one) <(echo two);"
                                " for i in 1 2 3; do (exit $i) & done; wait; trap 'echo got' USR1; kill -USR1 $$; coproc cat; echo hi >&${COPROC[1]};"
                                " read -u ${COPROC[0]} l; echo $l; exec {COPROC[1]}>&-; wait; echo end"]),
        Spec("bash.pipelines", ["/bin/bash", "-c", "for i in {1..30}; do echo $i | cat | tr 0-9 a-j; done | md5sum; set -o pipefail;"
                                " true | false | true; echo $? ${PIPESTATUS[@]}; set +o pipefail; yes | head -100000 | wc -l"]),
        Spec("dash.pipelines", ["/bin/dash", "-c", "seq 1000 | sort -r | head -3; x=`echo back | rev`; echo $x; (cd /; pwd); (exit 9)"], status=9),
        Spec("busybox.ash", ["/bin/busybox", "ash", "-c", "seq 100 | busybox sort -rn | busybox head -2; echo $(busybox expr 6 '*' 7);"
                             " busybox find {dir} -type f | busybox xargs busybox wc -l | busybox tail -1"], prepare=tree),
        Spec("perl.children", ["/usr/bin/perl", "-e", "print `echo ticks`; system('exit 5'); print $? >> 8, qq(\\n); my $p = fork // die;"
                               " if (!$p) { exit 7 } waitpid $p, 0; print $? >> 8, qq(\\n); open my $f, '-|', 'seq 3' or die; print <$f>; close $f;"
                               " open $f, '|-', 'sort' or die; print $f qq(b\\na\\n); close $f;"]),
        Spec("git.flow", ["/bin/bash", "-c", GIT], seconds=30),
        Spec("make.parallel", ["/bin/bash", "-c", "cp {dir}/* . && make -s -j2 && ./prog; echo $?; ./other"], seconds=60, prepare=c_project),
        Spec("gcc.compiles", ["/bin/bash", "-c", "gcc -O1 -o p {dir}/main.c {dir}/twice.c && ./p; echo $?; g++ -std=c++20 -O0 -o q {dir}/other.cc && ./q"],
             seconds=60, prepare=c_project),
        Spec("tar.xz", ["/bin/bash", "-c", "tar cJf t.txz -C {dir} . && tar tJf t.txz | sort | md5sum; xz -dc t.txz | tar x -C . && cat f39 | wc"],
             seconds=30, prepare=tree),
        Spec("node.children", ["/usr/bin/node", "-e", NODE], seconds=60, status=3),
        Spec("java.processes", ["/usr/bin/java", "-cp", "{dir}", "H"], seconds=90, prepare=java_class),
        Spec("python3.multiprocessing", ["/usr/bin/python3", "{dir}/m.py"], seconds=90,
             prepare=lambda d: (d / "m.py").write_text(PYTHON)),
        Spec("postgres.pgbench", ["/bin/bash", "-c", POSTGRES], seconds=60),
        Spec("python3.two", ["/bin/bash", "-c", "for i in 1 2 3 4; do python3 -c \"print(sum(i * i for i in range(100000)) + $i)\" > o$i & done; wait; cat o?"],
             seconds=40),
        Spec("go.two_servers", ["{programs}/servers"], seconds=60),
        Spec("busybox.beside_node", ["/bin/busybox", "ash", "-c", BUSYBOX_NODE], seconds=60),
        Spec("python3.node", ["/usr/bin/python3", "-c", "import subprocess as s; p = [s.Popen(['node', '-e', f'console.log({i})'], stdout=s.PIPE) for i in range(2)];"
                              " print([x.communicate()[0] for x in p])"], seconds=60),
    ]
