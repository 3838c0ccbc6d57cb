// The Rust program under test: threads, channels, atomics, locks, panics that unwind, files and a child process.
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{mpsc, Arc, Barrier, Condvar, Mutex};
use std::{env, fs, panic, process, thread, time::Duration};

fn channels() -> u64 {
    let (sender, receiver) = mpsc::channel();
    for i in 0..50u64 {
        let sender = sender.clone();
        thread::spawn(move || {
            for j in 0..200 {
                sender.send(i * j).unwrap();
            }
        });
    }
    drop(sender);
    receiver.iter().sum()
}

fn locks() -> (u64, usize) {
    let total = Arc::new(AtomicU64::new(0));
    let map = Arc::new(Mutex::new(BTreeMap::new()));
    let barrier = Arc::new(Barrier::new(16));
    let workers: Vec<_> = (0..16u64)
        .map(|i| {
            let (total, map, barrier) = (total.clone(), map.clone(), barrier.clone());
            thread::spawn(move || {
                barrier.wait();
                for j in 0..1000 {
                    total.fetch_add(j, Ordering::Relaxed);
                    map.lock().unwrap().insert((i, j), j);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    let size = map.lock().unwrap().len();
    (total.load(Ordering::SeqCst), size)
}

fn ping_pong() -> u32 {
    let pair = Arc::new((Mutex::new(0u32), Condvar::new()));
    let other = pair.clone();
    let worker = thread::spawn(move || {
        let (lock, changed) = &*other;
        let mut n = lock.lock().unwrap();
        while *n < 2000 {
            while *n % 2 == 0 {
                n = changed.wait(n).unwrap();
            }
            *n += 1;
            changed.notify_all();
        }
    });
    let (lock, changed) = &*pair;
    let mut n = lock.lock().unwrap();
    while *n < 1999 {
        while *n % 2 == 1 {
            n = changed.wait(n).unwrap();
        }
        *n += 1;
        changed.notify_all();
    }
    drop(n);
    worker.join().unwrap();
    let n = *lock.lock().unwrap();
    n
}

fn main() {
    println!("channels {}", channels());
    println!("locks {:?}", locks());
    println!("ping pong {}", ping_pong());
    panic::set_hook(Box::new(|_| {}));
    let caught = thread::spawn(|| {
        let numbers = vec![1, 2, 3];
        let index = numbers.len() + 1;
        numbers[index]
    })
    .join();
    println!("panic caught {}", caught.is_err());
    let path = env::temp_dir().join(format!("rust-{}", process::id()));
    let mut file = fs::OpenOptions::new().create(true).read(true).write(true).open(&path).unwrap();
    file.write_all(b"written by rust").unwrap();
    file.seek(SeekFrom::Start(8)).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    fs::remove_file(&path).unwrap();
    println!("file: {}", text);
    let child = process::Command::new("/bin/echo").arg("from a child").output().unwrap();
    print!("child {}: {}", child.status, String::from_utf8_lossy(&child.stdout));
    thread::sleep(Duration::from_millis(10));
    process::exit(17);
}
