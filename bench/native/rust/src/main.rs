//! r2d2 and deadpool, borrow + return of connections that cost nothing.
//!
//!     candidates r2d2|deadpool cycle|fair THREADS MS  ->  "operations elapsed_ns longest_wait_ns"

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 8;
const HOLD: Duration = Duration::from_millis(1);
static PHASE: AtomicU32 = AtomicU32::new(0);

struct Stub;

impl r2d2::ManageConnection for Stub {
    type Connection = u64;
    type Error = Infallible;
    fn connect(&self) -> Result<u64, Infallible> {
        Ok(0)
    }
    fn is_valid(&self, _: &mut u64) -> Result<(), Infallible> {
        Ok(())
    }
    fn has_broken(&self, _: &mut u64) -> bool {
        false
    }
}

impl deadpool::managed::Manager for Stub {
    type Type = u64;
    type Error = Infallible;
    async fn create(&self) -> Result<u64, Infallible> {
        Ok(0)
    }
    async fn recycle(&self, _: &mut u64, _: &deadpool::managed::Metrics) -> deadpool::managed::RecycleResult<Infallible> {
        Ok(())
    }
}

fn measure<G>(fair: bool, threads: usize, length: Duration, borrow: impl Fn() -> G + Sync) {
    let work = || {
        let (mut operations, mut longest) = (0u64, Duration::ZERO);
        while PHASE.load(Ordering::Acquire) == 0 {
            thread::sleep(Duration::from_micros(100));
        }
        while PHASE.load(Ordering::Acquire) == 1 {
            if fair {
                let began = Instant::now();
                let lease = borrow();
                longest = longest.max(began.elapsed());
                thread::sleep(HOLD);
                drop(lease);
                operations += 1;
            } else {
                for _ in 0..256 {
                    drop(borrow());
                }
                operations += 256;
            }
        }
        (operations, longest)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let began = Instant::now();
        PHASE.store(1, Ordering::Release);
        thread::sleep(length);
        PHASE.store(2, Ordering::Release);
        let done: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        let operations: u64 = done.iter().map(|one| one.0).sum();
        let longest = done.iter().map(|one| one.1).max().unwrap();
        println!("{operations} {} {}", began.elapsed().as_nanos(), longest.as_nanos());
    });
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let fair = words[2] == "fair";
    let threads = words[3].parse().unwrap();
    let length = Duration::from_millis(words[4].parse().unwrap());
    if words[1] == "r2d2" {
        let pool = r2d2::Pool::builder().max_size(CONNECTIONS as u32).test_on_check_out(false).build(Stub).unwrap();
        measure(fair, threads, length, || pool.get().unwrap());
    } else {
        let pool = deadpool::managed::Pool::<Stub>::builder(Stub).max_size(CONNECTIONS).build().unwrap();
        measure(fair, threads, length, || futures::executor::block_on(pool.get()).unwrap());
    }
}
