"""The streamer: a worker process that encodes what sinks receive for listeners over HTTP."""
