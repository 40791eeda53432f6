package com.mageline.test;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/**
 * A node of OpenSearch without its installation: a cluster of its own, on a free port of 127.0.0.1.
 *
 * <p>OpenSearch FOLDER: data is kept in the folder; the address stands in its file "address" once the node takes requests. SIGTERM
 * ends it in order.
 */
public final class OpenSearch {
    private OpenSearch() {}

    /** Node's constructor for plugins from the class path is for subclasses. */
    private static final class Served extends Node {
        Served(Settings settings) {
            super(new Environment(settings, null), List.of(Netty4Plugin.class), false);
        }
    }

    public static void main(String[] args) throws Exception {
        Path home = Path.of(args[0]);
        Node node = new Served(Settings.builder()
            .put("path.home", home)
            .put("cluster.name", "mageline-test")
            .put("node.name", "node")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", "0")
            .put("transport.port", "0")
            .put("http.type", "netty4")
            .put("transport.type", "netty4")
            .put("http.max_content_length", "8mb")
            // The machine's disk may be nearly full, which is no business of the tests.
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build());
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (Exception e) {
                e.printStackTrace();
            }
        }));
        node.start();
        var bound = node.injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress();
        Path written = Files.writeString(home.resolve("address.new"), bound.getAddress() + ":" + bound.getPort());
        Files.move(written, home.resolve("address"), StandardCopyOption.ATOMIC_MOVE);
        Thread.currentThread().join();
    }
}
