"""How a fleet of replicas behaves behind a balancer: simulated, and measured with a model that sleeps."""
