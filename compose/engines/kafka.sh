# shellcheck shell=bash disable=SC2154 # compose/lib.sh assigns.
# Apache Kafka from Maven Central (compose/kafka/pom.xml says which), one node, KRaft.

kafka_release() { sed -n 's/.*<kafka.version>\(.*\)<.*/\1/p' "$root/compose/kafka/pom.xml"; }

kafka_jars() { echo "$cache/kafka-$(kafka_release)-$(cksum <"$root/compose/kafka/pom.xml" | cut -d' ' -f1)"; }

kafka_java() {
    local major
    need java default-jre-headless || return 1
    major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
    if [ "${major:-0}" -lt 17 ]; then
        say "Kafka needs Java 17, this is $major"
        return 1
    fi
}

kafka_download() {
    need mvn maven || return 1
    say "downloading Apache Kafka $(kafka_release)"
    mvn -B -q -f "$root/compose/kafka/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory="$1" >&2
}

kafka_prepare() {
    local home=$state/kafka
    kafka_java && once "$(kafka_jars)" kafka_download && mkdir -p "$home" || return 1
    tls_prepare || say "Kafka without TLS"
}

kafka_launch() {
    local home=$state/kafka controller tls=
    # The controller's own port is known to nobody else and is chosen anew each time.
    rm -f "$home/controller/port"
    controller=$(port kafka/controller)
    if tls_there; then tls=$(port kafka/tls); fi
    # It holds a password.
    (umask 077 && : >"$home/server.properties")
    cat >"$home/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$1,CONTROLLER://127.0.0.1:$controller${tls:+,TLS://127.0.0.1:$tls}
advertised.listeners=PLAINTEXT://127.0.0.1:$1${tls:+,TLS://localhost:$tls}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SASL_SSL
listener.name.tls.ssl.keystore.type=PEM
listener.name.tls.ssl.keystore.location=$(tls_server)
listener.name.tls.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.tls.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_social="$(secret kafka)";
listener.name.tls.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
controller.quorum.voters=1@127.0.0.1:$controller
log.dirs=$home/data
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
PROPERTIES
    if [ ! -f "$home/data/meta.properties" ]; then
        java -cp "$(kafka_jars)/*" kafka.tools.StorageTool format --ignore-formatted \
            --cluster-id "$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n' | cut -c1-22)" \
            --add-scram "SCRAM-SHA-512=[name=social,password=$(secret kafka)]" \
            --config "$home/server.properties" >>"$home/log" 2>&1 || return 1
    fi
    launch kafka java -Xms256m -Xmx512m -XX:+UseSerialGC -Djava.awt.headless=true \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true \
        -cp "$(kafka_jars)/*" kafka.Kafka "$home/server.properties"
}

kafka_started() { true; }

kafka_signal() { echo TERM; }

kafka_url() { echo "127.0.0.1:$(cat "$state/kafka/port")"; }

# By TLS, as somebody: for what wants to see that this works.
kafka_more() {
    ! tls_there || echo "KAFKA_TLS_BROKERS='kafka://social:$(secret kafka)@localhost:$(cat "$state/kafka/tls/port")?trust=$(tls_authority)'"
}

kafka_version() { echo "Apache Kafka $(kafka_release)"; }
