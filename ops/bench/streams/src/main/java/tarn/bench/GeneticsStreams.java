package tarn.bench;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Timestamp;
import genetics.screens.Screens.Category;
import genetics.screens.Screens.GeneticResult;
import genetics.screens.Screens.Marker;
import genetics.screens.Screens.Risk;
import genetics.v1.Events.AnalysisCompleted;
import genetics.v1.Events.MarkerReinterpreted;
import genetics.v1.Events.MarkerWithdrawn;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.Stores;

/**
 * The genetics screen as one would write it with Kafka Streams: a processor, a RocksDB store with its changelog, the same
 * events and the same views. Ends once it has handled as many records as it was told and committed them, and prints one
 * line of JSON. With DUMP, every hundredth view is written into that file, to be compared with Tarn's.
 *
 * <p>usage: GeneticsStreams BROKERS TOPIC RECORDS at_least_once|exactly_once_v2 APPLICATION_ID STATE_DIR [DUMP]
 */
public final class GeneticsStreams {
    private static final String STORE = "genetic-result";

    public static void main(String[] args) throws Exception {
        long expected = Long.parseLong(args[2]);
        AtomicLong handled = new AtomicLong();
        AtomicLong firstNanos = new AtomicLong();
        CountDownLatch done = new CountDownLatch(1);

        Properties config = new Properties();
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[4]);
        config.put(StreamsConfig.STATE_DIR_CONFIG, args[5]);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, args[3]);
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Runtime.getRuntime().availableProcessors());
        config.put(StreamsConfig.ROCKSDB_CONFIG_SETTER_CLASS_CONFIG, BoundedRocksDb.class);
        config.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        // What Confluent's tuning pages advise for throughput: larger polls, a larger record cache.
        config.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10000);
        config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L * 1024 * 1024);
        config.put(StreamsConfig.producerPrefix("linger.ms"), 100);
        config.put(StreamsConfig.producerPrefix("batch.size"), 262144);

        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore(STORE), Serdes.String(), Serdes.ByteArray()).withCachingEnabled());
        builder.stream(args[1], Consumed.with(Serdes.String(), Serdes.ByteArray()))
                .process(() -> new Fold(handled, firstNanos, expected, done), STORE);

        KafkaStreams streams = new KafkaStreams(builder.build(), config);
        long startNanos = System.nanoTime();
        streams.start();
        done.await();
        long endNanos = System.nanoTime();
        if (args.length > 6) {
            dump(streams, args[6]);
        }
        long closeNanos = System.nanoTime();
        streams.close(Duration.ofSeconds(120));
        double closing = (System.nanoTime() - closeNanos) / 1e9;
        double seconds = (endNanos - firstNanos.get()) / 1e9;
        System.out.printf("{\"records\": %d, \"seconds\": %.3f, \"per_second\": %.0f, \"until_first\": %.3f,"
                + " \"closing\": %.3f}%n", handled.get(), seconds, handled.get() / seconds,
                (firstNanos.get() - startNanos) / 1e9, closing);
        System.exit(0);
    }

    /** "key TAB base64 of the view", a line each, of the people whose number ends in 00. */
    private static void dump(KafkaStreams streams, String path) throws IOException {
        var store = streams.store(StoreQueryParameters.fromNameAndType(
                STORE, QueryableStoreTypes.<String, byte[]>keyValueStore()));
        try (PrintWriter out = new PrintWriter(path, StandardCharsets.UTF_8);
                KeyValueIterator<String, byte[]> views = store.all()) {
            while (views.hasNext()) {
                KeyValue<String, byte[]> view = views.next();
                if (view.key.endsWith("00")) {
                    out.println(view.key + "\t" + Base64.getEncoder().encodeToString(view.value));
                }
            }
        }
    }

    /** One record into its view. */
    private static final class Fold implements Processor<String, byte[], Void, Void> {
        private final AtomicLong handled;
        private final AtomicLong firstNanos;
        private final long expected;
        private final CountDownLatch done;
        private KeyValueStore<String, byte[]> store;

        Fold(AtomicLong handled, AtomicLong firstNanos, long expected, CountDownLatch done) {
            this.handled = handled;
            this.firstNanos = firstNanos;
            this.expected = expected;
            this.done = done;
        }

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            store = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<String, byte[]> record) {
            firstNanos.compareAndSet(0, System.nanoTime());
            String type = new String(record.headers().lastHeader("type").value(), StandardCharsets.UTF_8);
            try {
                byte[] old = store.get(record.key());
                GeneticResult.Builder view =
                        old == null ? GeneticResult.newBuilder() : GeneticResult.parseFrom(old).toBuilder();
                view.setUserId(record.key());
                switch (type) {
                    case "genetics.v1.AnalysisCompleted" -> replace(view, AnalysisCompleted.parseFrom(record.value()));
                    case "genetics.v1.MarkerReinterpreted" ->
                            reinterpret(view, MarkerReinterpreted.parseFrom(record.value()), record.timestamp());
                    case "genetics.v1.MarkerWithdrawn" -> withdraw(view, MarkerWithdrawn.parseFrom(record.value()));
                    default -> { }
                }
                store.put(record.key(), view.build().toByteArray());
            } catch (InvalidProtocolBufferException e) {
                throw new IllegalStateException(e);
            }
            if (handled.incrementAndGet() == expected) {
                done.countDown();
            }
        }
    }

    private static void replace(GeneticResult.Builder view, AnalysisCompleted event) {
        view.setReportId(event.getReportId()).setCompletedAt(event.getCompletedAt());
        view.setLaboratory(event.getLaboratory().getName()).setLaboratoryId(event.getLaboratory().getId());
        view.clearCategories();
        for (genetics.v1.Events.Marker marker : event.getMarkersList()) {
            markerOf(view, marker.getCategory(), marker.getCode()).clear().setCode(marker.getCode())
                    .setTrait(marker.getTrait()).setRisk(Risk.forNumber(marker.getRiskValue()))
                    .setScore(marker.getScore()).setAdvice(marker.getAdvice());
        }
        derive(view);
    }

    private static void reinterpret(GeneticResult.Builder view, MarkerReinterpreted event, long timeMs) {
        Marker.Builder marker = markerOf(view, event.getCategory(), event.getCode());
        // Field by field: mergeFrom() would leave out a risk that is set to NORMAL, which is 0.
        marker.setReinterpretedAt(Timestamp.newBuilder().setSeconds(timeMs / 1000)
                .setNanos((int) (timeMs % 1000) * 1_000_000));
        if (event.hasRisk()) {
            marker.setRisk(Risk.forNumber(event.getRiskValue()));
        }
        if (event.hasScore()) {
            marker.setScore(event.getScore().getValue());
        }
        if (event.hasAdvice()) {
            marker.setAdvice(event.getAdvice());
        }
        derive(view);
    }

    private static void withdraw(GeneticResult.Builder view, MarkerWithdrawn event) {
        for (Category.Builder category : view.getCategoriesBuilderList()) {
            if (category.getCategory().equals(event.getCategory())) {
                for (int i = category.getMarkersCount() - 1; i >= 0; i--) {
                    if (category.getMarkers(i).getCode().equals(event.getCode())) {
                        category.removeMarkers(i);
                    }
                }
            }
        }
        derive(view);
    }

    /** The marker of that code in that category; both are made when they aren't there. */
    private static Marker.Builder markerOf(GeneticResult.Builder view, String name, String code) {
        Category.Builder category = null;
        for (Category.Builder candidate : view.getCategoriesBuilderList()) {
            if (candidate.getCategory().equals(name)) {
                category = candidate;
            }
        }
        if (category == null) {
            category = view.addCategoriesBuilder().setCategory(name);
        }
        for (Marker.Builder candidate : category.getMarkersBuilderList()) {
            if (candidate.getCode().equals(code)) {
                return candidate;
            }
        }
        return category.addMarkersBuilder().setCode(code);
    }

    private static void derive(GeneticResult.Builder view) {
        List<Category> categories = new ArrayList<>();
        int high = 0;
        int worrying = 0;
        for (Category old : view.getCategoriesList()) {
            List<Marker> markers = new ArrayList<>(old.getMarkersList());
            markers.sort(Comparator.comparingDouble(Marker::getScore).reversed().thenComparing(Marker::getCode));
            int highs = (int) markers.stream().filter(m -> m.getRisk() == Risk.HIGH).count();
            int cautions = (int) markers.stream().filter(m -> m.getRisk() == Risk.CAUTION).count();
            categories.add(old.toBuilder().clearMarkers().addAllMarkers(markers).setHigh(highs).setCaution(cautions)
                    .setStrongest(markers.isEmpty() ? "" : markers.get(0).getTrait()).build());
            high += highs;
            worrying += highs > 0 ? 1 : 0;
        }
        categories.sort(Comparator.comparing(Category::getCategory));
        view.clearCategories().addAllCategories(categories).setHigh(high).setWorryingCategories(worrying);
    }

    private GeneticsStreams() { }
}
