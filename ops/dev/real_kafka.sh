# Sourced by run.sh: one node of Apache Kafka that is broker and controller, in a folder and on ports of its own.
# Uses run.sh's start, wait_for and fail. The version is the first that ops/dev/install.sh has put under build/.

real_kafka_settings() { # FOLDER PORT CONTROLLER_PORT PARTITIONS
    cat <<TEXT
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$3
listeners=PLAINTEXT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3
advertised.listeners=PLAINTEXT://127.0.0.1:$2
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$1/data
num.partitions=$4
auto.create.topics.enable=true
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
TEXT
}

real_kafka_java() {
    java -Xms64m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.awt.headless=true \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$kafka_libs/*" "$@"
}

real_kafka_start() { # FOLDER PARTITIONS; sets brokers and broker_pid
    local ports identity
    kafka_libs=$(ls -d "$PWD"/build/kafka-*/libs | head -n 1)
    mapfile -t ports < <("$PROGRAMS/free_port" 2)
    mkdir -p "$1"
    real_kafka_settings "$1" "${ports[0]}" "${ports[1]}" "$2" >"$1/server.properties"
    identity=$(real_kafka_java kafka.tools.StorageTool random-uuid | tail -n 1)
    (cd "$1" && real_kafka_java kafka.tools.StorageTool format -t "$identity" -c server.properties >format.log 2>&1) ||
        fail "Apache Kafka's storage can't be formatted: $(tail -n 3 "$1/format.log")"
    start broker java -Xms64m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.awt.headless=true \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$kafka_libs/*" kafka.Kafka "$1/server.properties"
    brokers=127.0.0.1:${ports[0]}
    wait_for 60 "Apache Kafka" "$broker_pid" bash -c ": </dev/tcp/127.0.0.1/${ports[0]}"
}
