"""Makes events.bin: `python generate.py` in this folder.

Written with tensorboard 2.21.0: its protocol buffers and its record writer.
"""

import os

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

png = bytes(range(200))
image = Summary.Image(height=300, width=2, colorspace=3, encoded_image_string=png)
events = [
    Event(wall_time=1700000000.25, file_version="brain.Event:2"),
    Event(wall_time=1700000000.25, step=5, session_log=SessionLog(status=SessionLog.START)),
    Event(wall_time=1700000000.25, summary=Summary(value=[Summary.Value(tag="loss", simple_value=0)])),
    Event(wall_time=1700000000.25, step=7,
          summary=Summary(value=[Summary.Value(tag="läuft/größe", simple_value=-1.5)])),
    Event(wall_time=1700000000.25, step=2**40,
          summary=Summary(value=[Summary.Value(tag="picture", image=image)])),
]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "events.bin"), "wb") as file:
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString(deterministic=True))
    writer.flush()
