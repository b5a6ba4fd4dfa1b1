"""OpenTelemetry through its API alone: who exports, and where to, is set up by the platform or whoever runs us."""
