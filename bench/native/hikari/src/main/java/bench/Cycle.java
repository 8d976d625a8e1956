package bench;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import com.zaxxer.hikari.util.ConcurrentBag;
import java.sql.SQLException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.openjdk.jmh.annotations.*;

/** Borrow + return: the whole pool, and the bag inside it alone. */
@State(Scope.Benchmark)
public class Cycle {
    static final int CONNECTIONS = 8;
    HikariDataSource source;
    ConcurrentBag<Entry> bag;

    static final class Entry implements ConcurrentBag.IConcurrentBagEntry {
        final AtomicInteger state = new AtomicInteger();
        public boolean compareAndSet(int expected, int wanted) { return state.compareAndSet(expected, wanted); }
        public void setState(int wanted) { state.set(wanted); }
        public int getState() { return state.get(); }
    }

    static HikariDataSource open() {
        HikariConfig config = new HikariConfig();
        config.setDataSource(new Stub.Source());
        config.setMaximumPoolSize(CONNECTIONS);
        config.setMinimumIdle(CONNECTIONS);
        HikariDataSource source = new HikariDataSource(config);
        while (source.getHikariPoolMXBean().getIdleConnections() < CONNECTIONS) Thread.onSpinWait();
        return source;
    }

    @Setup
    public void setUp() {
        source = open();
        bag = new ConcurrentBag<>(waiting -> {});
        for (int i = 0; i < CONNECTIONS; i++) bag.add(new Entry());
    }

    @TearDown
    public void tearDown() { source.close(); }

    @Benchmark
    public void pool() throws SQLException { source.getConnection().close(); }

    @Benchmark
    public void bag() throws InterruptedException { bag.requite(bag.borrow(30, TimeUnit.SECONDS)); }
}
