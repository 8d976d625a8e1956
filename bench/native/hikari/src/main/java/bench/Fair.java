package bench;

import com.zaxxer.hikari.HikariDataSource;
import java.sql.Connection;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.atomic.LongAccumulator;

/** THREADS MS: each holds its connection for 1 ms. Prints "operations elapsed_ns longest_wait_ns". */
public class Fair {
    static volatile int phase = 0;

    public static void main(String[] words) throws Exception {
        LongAdder operations = new LongAdder();
        LongAccumulator longest = new LongAccumulator(Math::max, 0);
        try (HikariDataSource source = Cycle.open()) {
            Thread[] threads = new Thread[Integer.parseInt(words[0])];
            for (int i = 0; i < threads.length; i++) {
                threads[i] = new Thread(() -> {
                    try {
                        while (phase == 0) Thread.sleep(1);
                        while (phase == 1) {
                            long began = System.nanoTime();
                            try (Connection c = source.getConnection()) {
                                longest.accumulate(System.nanoTime() - began);
                                Thread.sleep(1);
                            }
                            operations.increment();
                        }
                    } catch (Exception e) {
                        throw new IllegalStateException(e);
                    }
                });
                threads[i].start();
            }
            long began = System.nanoTime();
            phase = 1;
            Thread.sleep(Integer.parseInt(words[1]));
            phase = 2;
            for (Thread thread : threads) thread.join();
            System.out.println(operations.sum() + " " + (System.nanoTime() - began) + " " + longest.get());
        }
    }
}
