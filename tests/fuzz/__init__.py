"""Random input: policies with and without a mistake, hostile objects for the gate. All of it replays by its seed."""
