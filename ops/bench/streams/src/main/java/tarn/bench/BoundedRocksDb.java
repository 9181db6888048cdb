package tarn.bench;

import java.util.Map;
import org.apache.kafka.streams.state.RocksDBConfigSetter;
import org.rocksdb.BlockBasedTableConfig;
import org.rocksdb.Cache;
import org.rocksdb.LRUCache;
import org.rocksdb.Options;
import org.rocksdb.WriteBufferManager;

/**
 * RocksDB as the Memory Management page of Kafka Streams' developer guide sets it up: one block cache for all stores of the
 * process, index and filter blocks in it, memtables counted against it; its bloom filters stay as Kafka Streams has them.
 * The cache is as large as tarn-projector's default memory, and compactions may use as many threads as there are cores, as
 * the guide to configuring RocksDB advises.
 */
public final class BoundedRocksDb implements RocksDBConfigSetter {
    private static final long CACHE_BYTES = 1L << 30;
    private static final long MEMTABLE_BYTES = 256L << 20;
    private static final double INDEX_FILTER_RATIO = 0.1;

    static {
        org.rocksdb.RocksDB.loadLibrary();
    }

    private static final Cache CACHE = new LRUCache(CACHE_BYTES, -1, false, INDEX_FILTER_RATIO);
    private static final WriteBufferManager WRITE_BUFFERS = new WriteBufferManager(MEMTABLE_BYTES, CACHE);

    @Override
    public void setConfig(String store, Options options, Map<String, Object> configs) {
        BlockBasedTableConfig tables = (BlockBasedTableConfig) options.tableFormatConfig();

        tables.setBlockCache(CACHE);
        tables.setCacheIndexAndFilterBlocks(true);
        options.setWriteBufferManager(WRITE_BUFFERS);
        tables.setCacheIndexAndFilterBlocksWithHighPriority(true);
        tables.setPinTopLevelIndexAndFilter(true);
        tables.setBlockSize(16384);
        options.setTableFormatConfig(tables);
        options.setMaxWriteBufferNumber(3);
        options.setWriteBufferSize(16 << 20);
        options.setIncreaseParallelism(Math.max(2, Runtime.getRuntime().availableProcessors()));
    }

    @Override
    public void close(String store, Options options) {
        // Cache and write buffers are shared by all stores, and end with the process.
    }
}
