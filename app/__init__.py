"""The faces: command line, schedule, web. The only place where everything meets."""
