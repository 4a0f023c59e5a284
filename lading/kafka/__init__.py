"""The log on Apache Kafka: imported only where `[log] kind = "kafka"` chooses it; needs the extra `kafka`."""
