"""An edge node made with pysparkplug: births, data and deaths as that library sends them. Commands come on stdin."""

import json
import sys
import threading

import pysparkplug as spb


class Plant:
    """One edge node with a device, whose metrics a command describes: [name, datatype, value, time_ms, more]."""

    def __init__(self, port: str, group: str, node: str, device: str) -> None:
        self.port, self.group, self.name, self.device = int(port), group, node, device
        self.edge: spb.EdgeNode | None = None
        self.rebirths = 0
        self.lock = threading.Lock()

    def birth(self, own: list, metrics: list) -> None:
        """A new session."""
        self.own, self.metrics = own, metrics
        self.edge = spb.EdgeNode(self.group, self.name, made(own), cmd_callback=self.heed)
        self.edge.register(spb.Device(self.device, made(metrics)))
        self.edge.connect("127.0.0.1", port=self.port, blocking=False)

    def data(self, metrics: list) -> None:
        """DDATA."""
        with self.lock:
            self.edge.update_device(self.device, made(metrics))

    def own_data(self, metrics: list) -> None:
        """NDATA."""
        with self.lock:
            self.edge.update(made(metrics))

    def gone(self) -> None:
        """DDEATH."""
        with self.lock:
            self.edge.deregister(self.device)

    def back(self, metrics: list) -> None:
        """DBIRTH."""
        with self.lock:
            self.edge.register(spb.Device(self.device, made(metrics)))

    def skip(self) -> None:
        """Lose one message."""
        _ = self.edge._seq

    def heed(self, _edge: object, message: object) -> None:
        """The library leaves births on request to its user: a new session answers."""
        if any(metric.name == "Node Control/Rebirth" and metric.value for metric in message.payload.metrics):
            self.rebirths += 1
            threading.Thread(target=self.again, daemon=True).start()

    def again(self) -> None:
        with self.lock:
            self.edge.disconnect()
            self.edge.connect("127.0.0.1", port=self.port, blocking=False)


def made(metrics: list) -> list:
    return [
        spb.Metric(timestamp=time_ms, name=name, datatype=spb.DataType[datatype], value=value, **more)
        for name, datatype, value, time_ms, more in metrics
    ]


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
