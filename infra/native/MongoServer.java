import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.util.List;
import org.h2.mvstore.MVStore;
import org.h2.mvstore.MVStoreException;

/**
 * A MongoDB-compatible server that is durable at kill -9:  java -cp JARS MongoServer.java HOST PORT FILE
 *
 * What the server as published lacks: it writes in the background, about a second late, and it reports a wire
 * version that today's drivers refuse.
 */
class MongoServer {
    public static void main(String[] arguments) {
        var store = new MVStore.Builder().fileName(arguments[2]).autoCommitDisabled().open();
        store.setAutoCommitDelay(0);
        store.setRetentionTime(0);
        var backend = new DurableBackend(store);
        backend.version(new Version44());
        var server = new de.bwaldvogel.mongo.MongoServer(backend);
        server.bind(arguments[0], Integer.parseInt(arguments[1]));
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        System.out.println("MongoServer answers at " + server.getLocalAddress());
    }

    /** Answers a request only when all that it changed is in the file; one at a time, so never half of one. */
    static class DurableBackend extends H2Backend {
        DurableBackend(MVStore store) {
            super(store);
        }

        @Override
        public synchronized Document handleMessage(MongoMessage message) {
            try {
                return super.handleMessage(message);
            } finally {
                if (getMvStore().hasUnsavedChanges()) {
                    commitOrDie();
                }
            }
        }

        /** Like MongoDB itself: who cannot write ends, so that nobody reads what is not stored. */
        private void commitOrDie() {
            try {
                getMvStore().commit();
            } catch (MVStoreException error) {
                System.err.println("cannot write, so I end: " + error.getMessage());
                Runtime.getRuntime().halt(1);
            }
        }
    }

    static class Version44 implements MongoVersion {
        @Override
        public List<Integer> getVersionArray() {
            return List.of(4, 4, 0);
        }

        @Override
        public int getWireVersion() {
            return 9;
        }
    }
}
