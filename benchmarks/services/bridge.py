"""The peer: a plain bridge from MQTT to Kafka, a JSON object a reading, as many tutorials have it.

`python -m benchmarks.services.bridge send|run …`. Nothing is signed, checked, chained or judged; a message is
acknowledged to the broker by paho as soon as it was handed to the producer.
"""

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from kafka import KafkaProducer
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.services.load import publish


def send(port: int, count: int, out: Path) -> None:
    """Publish readings as JSON, QoS 1; wait for the word to begin first."""
    rng = random.Random(1)
    messages = [
        (
            f"plain/{n % 64}/reading",
            json.dumps(
                {
                    "gateway": f"truck-{n % 64}",
                    "channel": 1,
                    "time_ms": 1_700_000_000_000 + n,
                    "value": rng.random() * 10,
                }
            ).encode(),
            "",
        )
        for n in range(count)
    ]
    out.with_suffix(".ready").touch()
    while not out.with_suffix(".go").exists():
        time.sleep(0.01)
    publish(port, iter(messages), 0)


def run(port: int, bootstrap: str, topic: str) -> None:
    """Forward until killed."""
    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        linger_ms=20,
        batch_size=262_144,
        value_serializer=lambda one: json.dumps(one).encode(),
    )
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bridge", clean_session=False)

    def forward(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        reading = json.loads(message.payload)
        producer.send(topic, reading, key=reading["gateway"].encode())

    client.on_message = forward
    client.on_connect = lambda client, *_: client.subscribe("plain/#", 1)
    client.connect("127.0.0.1", port)
    client.loop_forever()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("send", "run"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--bootstrap", default="")
    parser.add_argument("--topic", default="")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.what == "send":
        send(options.port, options.count, options.out)
    else:
        run(options.port, options.bootstrap, options.topic)


if __name__ == "__main__":
    main()
