"""What events of each topic make true. A module a topic; `handlers` lists them all."""
