"""Prints a bootstrap for an Envoy in front of Trivium servers.

    python -m deploy.envoy --replica 10.0.0.1:50051 --replica 10.0.0.2:50051 --listen 0.0.0.0:8443 \\
        --tls-certificate server.pem --tls-private-key server_key.pem > envoy.yaml
    envoy --mode validate --config-path envoy.yaml
"""

import argparse
import sys

from deploy.envoy.options import Address, Balancer, Bootstrap, DownstreamTls, Listener, UpstreamTls
from deploy.envoy.render import render


def main() -> int:
    """Returns the exit status."""
    parser = _parser()
    given = parser.parse_args()
    try:
        sys.stdout.write(render(_bootstrap(given)))
    except ValueError as error:
        parser.error(str(error))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.envoy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--replica", action="append", required=True, metavar="HOST:PORT", help="a replica; a name stands for all")
    add("--listen", metavar="HOST:PORT", help="where callers connect with TLS")
    add("--tls-certificate", metavar="FILE", help="the certificate that callers see")
    add("--tls-private-key", metavar="FILE")
    add("--client-ca", metavar="FILE", help="only callers with a certificate of this authority connect")
    add("--plaintext-listen", metavar="HOST:PORT", help="where callers connect without TLS")
    add("--upstream-ca", metavar="FILE", help="replicas speak TLS, with a certificate of this authority")
    add("--upstream-name", metavar="NAME", help="the name in their certificates")
    add("--upstream-certificate", metavar="FILE", help="the certificate that replicas see (mTLS)")
    add("--upstream-private-key", metavar="FILE")
    add("--balancer", choices=[str(kind) for kind in Balancer], default=str(Balancer.LEAST_REQUEST))
    add("--origin", action="append", default=[], metavar="URL", help="pages of this origin may call (CORS)")
    add("--admin-port", type=int, default=9901, metavar="PORT", help="of Envoy's own administration, on loopback only")
    add("--probe-listen", metavar="HOST:PORT", help="serves /ready and /stats/prometheus, and nothing else")
    add("--health-interval-s", type=float, default=1.0, metavar="S")
    add("--ping-interval-s", type=float, default=1.0, metavar="S", help="of HTTP/2 pings to replicas")
    add("--ping-timeout-s", type=float, default=1.75, metavar="S", help="of their answers")
    add("--replica-calls", type=int, default=256, metavar="N", help="limits.max_concurrent_calls of a replica")
    add("--calls-per-s", type=int, default=10_000, metavar="N", help="more are refused by this Envoy")
    add("--max-connections", type=int, default=20_000, metavar="N", help="of callers; more are refused by this Envoy")
    return parser


def _bootstrap(given: argparse.Namespace) -> Bootstrap:
    listeners: list[Listener] = []
    if given.listen:
        if not given.tls_certificate or not given.tls_private_key:
            raise ValueError("--listen needs --tls-certificate and --tls-private-key")
        tls = DownstreamTls(
            certificate=given.tls_certificate, private_key=given.tls_private_key, client_ca=given.client_ca
        )
        listeners.append(Listener(name="tls", address=Address.parse(given.listen), tls=tls))
    if given.plaintext_listen:
        listeners.append(Listener(name="plaintext", address=Address.parse(given.plaintext_listen)))
    upstream_tls = None
    if given.upstream_ca:
        if not given.upstream_name:
            raise ValueError("--upstream-ca needs --upstream-name")
        upstream_tls = UpstreamTls(
            ca=given.upstream_ca,
            name=given.upstream_name,
            certificate=given.upstream_certificate,
            private_key=given.upstream_private_key,
        )
    return Bootstrap(
        replicas=tuple(map(Address.parse, given.replica)),
        listeners=tuple(listeners),
        admin_port=given.admin_port,
        probes=Address.parse(given.probe_listen) if given.probe_listen else None,
        balancer=Balancer(given.balancer),
        upstream_tls=upstream_tls,
        allowed_origins=tuple(given.origin),
        health_interval_s=given.health_interval_s,
        ping_interval_s=given.ping_interval_s,
        ping_timeout_s=given.ping_timeout_s,
        replica_calls=given.replica_calls,
        calls_per_s=given.calls_per_s,
        max_connections=given.max_connections,
    )


if __name__ == "__main__":
    sys.exit(main())
