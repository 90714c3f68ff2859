import Foundation

// Servers of others, as Debian packages them, each with a small configuration: nothing kept on disk, nothing logged, one
// thread that serves, and the same limit of what may wait for a subscriber.

extension Peer {
    static func redis(_ programs: Programs) -> Peer {
        installed(
            // It has an allocator of its own, which it asks about what the preloaded library would have allocated.
            "redis", "Redis, publish and subscribe", "redis-server", programs, isQuick: true, countsAllocations: false,
            wireProtocol: {
                guard case .fanout = $0 else { return nil }
                return .redis
            },
            launch: Launch(
                program: "redis-server", arguments: ["%FOLDER%/redis.conf"],
                files: [
                    "redis.conf": """
                        bind 127.0.0.1
                        port %PORT%
                        dir %FOLDER%
                        save ""
                        appendonly no
                        io-threads 1
                        tcp-backlog 4096
                        maxclients 12000
                        client-output-buffer-limit pubsub 64mb 64mb 0
                        loglevel warning

                        """
                ], printsPort: false),
            versionArgument: "--version")
    }

    static func nats(_ programs: Programs) -> Peer {
        installed(
            "nats", "NATS, GOMAXPROCS=1", "nats-server", programs, countsAllocations: false,
            wireProtocol: {
                guard case .fanout = $0 else { return nil }
                return .nats
            },
            launch: Launch(
                program: "nats-server", arguments: ["-c", "%FOLDER%/nats.conf"], environment: ["GOMAXPROCS": "1"],
                files: [
                    "nats.conf": """
                        listen: 127.0.0.1:%PORT%
                        max_payload: 8MB
                        max_pending: 64MB
                        max_connections: 12000

                        """
                ], printsPort: false),
            versionArgument: "--version")
    }

    static func nginx(_ programs: Programs) -> Peer {
        installed(
            "nginx", "nginx, a fixed body of 2 bytes", "nginx", programs,
            wireProtocol: {
                switch $0 {
                case .churn, .idle(.echo, _): .http
                case .echo, .fanout, .idle(.pubsub, _): nil
                }
            },
            // One process: what serves is what is measured.
            launch: Launch(
                program: "nginx", arguments: ["-e", "stderr", "-p", "%FOLDER%", "-c", "%FOLDER%/nginx.conf"],
                files: [
                    "nginx.conf": """
                        daemon off;
                        master_process off;
                        worker_processes 1;
                        worker_rlimit_nofile 12000;
                        pid %FOLDER%/nginx.pid;
                        error_log stderr error;
                        events { worker_connections 11000; multi_accept on; }
                        http {
                            access_log off;
                            client_body_temp_path %FOLDER%/body;
                            proxy_temp_path %FOLDER%/proxy;
                            fastcgi_temp_path %FOLDER%/fastcgi;
                            uwsgi_temp_path %FOLDER%/uwsgi;
                            scgi_temp_path %FOLDER%/scgi;
                            keepalive_timeout 600s;
                            keepalive_requests 1000000;
                            tcp_nodelay on;
                            server {
                                listen 127.0.0.1:%PORT% backlog=4096;
                                location / { return 200 "ok"; }
                            }
                        }

                        """
                ], printsPort: false),
            versionArgument: "-v")
    }

    private static func installed(
        _ name: String, _ description: String, _ program: String, _ programs: Programs, isQuick: Bool = false,
        countsAllocations: Bool = true, wireProtocol: @escaping (Workload) -> WireProtocol?, launch: Launch,
        versionArgument: String
    ) -> Peer {
        Peer(
            name: name, description: description, isQuick: isQuick, countsAllocations: countsAllocations,
            wireProtocol: wireProtocol,
            launch: { _ in launch },
            version: {
                // Redis goes on about how it was built.
                Programs.firstLine(of: program, [versionArgument]).map {
                    $0.split(separator: " ").prefix(3).joined(separator: " ")
                }
            },
            whyMissing: programs.isInstalled(program) ? nil : "\(program) is not installed (Benchmarks/setup does that)")
    }
}
