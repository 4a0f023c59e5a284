"""An edge node and a device of it made with mqtt-spb-wrapper, two connections in one process as that library has it."""

import json
import sys
import time

from mqtt_spb_wrapper import MqttSpbEntityDevice, MqttSpbEntityEdgeNode


class Plant:
    """Metrics are [name, value, time_ms, alias]; the library takes datatypes from Python's: Double, Int64, Boolean."""

    def __init__(self, port: str, group: str, node: str, device: str) -> None:
        self.port = int(port)
        self.node = MqttSpbEntityEdgeNode(group, node)
        self.device = MqttSpbEntityDevice(group, node, device)
        self.rebirths = 0

    def birth(self, own: list, metrics: list) -> None:
        self.node.on_message = self.heed
        for entity, given in ((self.node, own), (self.device, metrics)):
            put(entity, given)
            assert entity.connect("127.0.0.1", self.port)
        self.node.publish_birth()
        time.sleep(0.2)  # another connection: nothing but time keeps their order
        self.device.publish_birth()

    def data(self, metrics: list, qos: int = 0) -> None:
        put(self.device, metrics)
        self.device.publish_data(qos=qos)

    def own_data(self, metrics: list, qos: int = 0) -> None:
        put(self.node, metrics)
        self.node.publish_data(qos=qos)

    def end(self) -> None:
        self.device.disconnect()
        self.node.disconnect()

    def heed(self, topic: object, payload: object) -> None:
        """The library answers no request for births by itself."""
        names = [metric["name"] for metric in payload.get("metrics", [])] if isinstance(payload, dict) else []
        if topic.message_type == "NCMD" and "Node Control/Rebirth" in names:
            self.rebirths += 1
            self.node.publish_birth()
            time.sleep(0.2)
            self.device.publish_birth()


def put(entity: object, metrics: list) -> None:
    for name, value, time_ms, alias in metrics:
        entity.data.set_value(name, value, timestamp=time_ms, spb_alias_num=alias)


def main() -> None:
    plant = Plant(*sys.argv[1:])
    for line in sys.stdin:
        asked = json.loads(line)
        command = asked.pop("command")
        if command != "rebirths":
            getattr(plant, command)(**asked)
        print(json.dumps(plant.rebirths), flush=True)


if __name__ == "__main__":
    main()
