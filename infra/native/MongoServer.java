import de.bwaldvogel.mongo.MongoCollection;
import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.CollectionOptions;
import de.bwaldvogel.mongo.backend.CursorRegistry;
import de.bwaldvogel.mongo.backend.DefaultQueryMatcher;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.backend.Missing;
import de.bwaldvogel.mongo.backend.QueryResult;
import de.bwaldvogel.mongo.backend.Utils;
import de.bwaldvogel.mongo.backend.ValueComparator;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.backend.h2.H2Collection;
import de.bwaldvogel.mongo.backend.h2.H2Database;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.io.File;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import org.h2.mvstore.MVMap;
import org.h2.mvstore.MVStore;
import org.h2.mvstore.MVStoreException;

/**
 * A MongoDB-compatible server that is durable at kill -9:  java -cp JARS MongoServer.java HOST PORT FILE [KEYSTORE PASSWORD]
 *
 * What the server as published lacks: it writes in the background, about a second late; it reports a wire
 * version that today's drivers refuse; its answers may show what a later request has changed; and it looks
 * through a whole collection for every query that names more than the key of a unique index. Its file only grows.
 */
class MongoServer {
    /** The one file of this process; databases open collections before their constructors can be told of it. */
    private static MVStore store;

    /** What is not in it is read from the file and deserialized again for each query. */
    private static final int CACHE_MEGABYTES = 256;

    public static void main(String[] arguments) throws Exception {
        store = new MVStore.Builder().fileName(arguments[2]).autoCommitDisabled().cacheSize(CACHE_MEGABYTES).open();
        store.setAutoCommitDelay(0);
        store.setRetentionTime(0);
        var backend = new DurableBackend(store);
        backend.version(new Version44());
        var server = new de.bwaldvogel.mongo.MongoServer(backend);
        if (arguments.length > 3) {
            speakTls(server, arguments[3], arguments[4].toCharArray());
        }
        server.bind(arguments[0], Integer.parseInt(arguments[1]));
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        System.out.println("MongoServer answers at " + server.getLocalAddress());
    }

    private static void speakTls(de.bwaldvogel.mongo.MongoServer server, String file, char[] password)
            throws Exception {
        var keys = KeyStore.getInstance(new File(file), password);
        var alias = keys.aliases().nextElement();
        server.enableSsl((PrivateKey) keys.getKey(alias, password), null, (X509Certificate) keys.getCertificate(alias));
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

    /** Answers a request only when all that it changed is in the file; one at a time, so never half of one. */
    static class DurableBackend extends H2Backend {
        /** So small and so often that no request waits long for it. */
        private static final int COMMITS_BETWEEN_COMPACTIONS = 256;
        private static final int COMPACTED_AT_ONCE = 4 << 20;
        private static final int LEAST_PERCENT_IN_USE = 50;

        private int commits;

        DurableBackend(MVStore store) {
            super(store);
        }

        @Override
        public synchronized Document handleMessage(MongoMessage message) {
            try {
                // a copy: the answer is written out later, when the next request may be changing what it holds
                return super.handleMessage(message).cloneDeeply();
            } finally {
                if (getMvStore().hasUnsavedChanges()) {
                    commitOrDie();
                }
            }
        }

        @Override
        protected MongoDatabase openOrCreateDatabase(String name) {
            return new IndexedDatabase(name, getCursorRegistry());
        }

        /** Like MongoDB itself: who cannot write ends, so that nobody reads what is not stored. */
        private void commitOrDie() {
            try {
                getMvStore().commit();
                if (++commits % COMMITS_BETWEEN_COMPACTIONS == 0) {
                    getMvStore().compact(LEAST_PERCENT_IN_USE, COMPACTED_AT_ONCE);
                }
            } catch (MVStoreException error) {
                System.err.println("cannot write, so I end: " + error.getMessage());
                Runtime.getRuntime().halt(1);
            }
        }
    }

    /** A database whose indexes that are not unique are used, too. */
    static class IndexedDatabase extends H2Database {
        IndexedDatabase(String name, CursorRegistry cursors) {
            super(name, store, cursors);
        }

        @Override
        protected MongoCollection<Object> openOrCreateCollection(String name, CollectionOptions options) {
            var full = getDatabaseName() + "." + name;
            MVMap<Object, Document> data = store.openMap("databases." + full);
            MVMap<String, Object> meta = store.openMap("meta." + full);
            return new IndexedCollection(this, name, options, data, meta, cursorRegistry);
        }

        @Override
        protected Index<Object> openOrCreateSecondaryIndex(
                String collection, String name, List<IndexKey> keys, boolean sparse) {
            return new TreeIndex(name, keys);
        }
    }

    /** Finds documents by their id whatever else is asked of them, and by the index that narrows most. */
    static class IndexedCollection extends H2Collection {
        private final List<TreeIndex> trees = new ArrayList<>();
        private final DefaultQueryMatcher matcher = new DefaultQueryMatcher();

        IndexedCollection(
                MongoDatabase database,
                String name,
                CollectionOptions options,
                MVMap<Object, Document> data,
                MVMap<String, Object> meta,
                CursorRegistry cursors) {
            super(database, name, options, data, meta, cursors);
        }

        @Override
        public void addIndex(Index<Object> index) {
            super.addIndex(index);
            if (index instanceof TreeIndex tree && trees.stream().noneMatch(known -> known.getName().equals(tree.getName()))) {
                trees.add(tree);
            }
        }

        @Override
        public void dropIndex(String name) {
            super.dropIndex(name);
            trees.removeIf(tree -> tree.getName().equals(name));
        }

        /** All at once, when the first is needed: each document is read from the file one time at each start. */
        private void fillTrees() {
            var unfilled = trees.stream().filter(tree -> !tree.filled).toList();
            if (unfilled.isEmpty()) {
                return;
            }
            unfilled.forEach(tree -> tree.filled = true);
            streamAllDocumentsWithPosition()
                    .forEach(each -> unfilled.forEach(tree -> tree.add(each.getDocument(), each.getPosition(), this)));
        }

        @Override
        protected QueryResult queryDocuments(
                Document query, Document order, int skip, int limit, int batch, Document fields) {
            Iterable<Object> positions = byId(query.get("_id"));
            if (positions == null) {
                fillTrees();
                var queries = oneByOne(query);
                var tree = trees.stream()
                        .filter(each -> each.narrows(queries.get(0)) > 0)
                        .max(Comparator.comparingInt(each -> each.narrows(queries.get(0))))
                        .orElse(null);
                if (tree == null) {
                    return super.queryDocuments(query, order, skip, limit, batch, fields);
                }
                var found = new LinkedHashSet<Object>();
                for (Document each : queries) {
                    var fitting = tree.getPositions(each);
                    found.addAll(limit > 0 && tree.sortsAs(each, order) ? firstThatFit(each, fitting, skip + limit) : fitting);
                }
                positions = found;
            }
            return matchDocuments(query, positions, order, skip, limit, batch, fields);
        }

        /** A query for each of the values that one key may have; the query itself if each may have one only. */
        private static List<Document> oneByOne(Document query) {
            for (var wanted : query.entrySet()) {
                if (wanted.getValue() instanceof Document among
                        && among.size() == 1
                        && among.get("$in") instanceof Collection<?> values
                        && !values.isEmpty()) {
                    return values.stream().map(value -> {
                        var single = query.clone();
                        single.put(wanted.getKey(), value);
                        return single;
                    }).toList();
                }
            }
            return List.of(query);
        }

        /** So that what comes behind the limit is neither read nor sorted. */
        private List<Object> firstThatFit(Document query, Iterable<Object> positions, int most) {
            var found = new ArrayList<Object>();
            for (Object position : positions) {
                if (matcher.matches(getDocument(position), query) && found.add(position) && found.size() == most) {
                    break;
                }
            }
            return found;
        }

        private List<Object> byId(Object wanted) {
            Collection<?> ids = wanted instanceof String ? List.of(wanted)
                    : wanted instanceof Document among && among.get("$in") instanceof Collection<?> some ? some : null;
            if (ids == null || !ids.stream().allMatch(String.class::isInstance)) {
                return null;
            }
            return ids.stream().distinct().filter(id -> getDocument(id) != null).map(Object.class::cast).toList();
        }
    }

    /** A sorted index in memory, made anew at each start; until its collection fills it, it takes no note of changes. */
    static class TreeIndex extends Index<Object> {
        private static final ValueComparator VALUES = ValueComparator.ascWithoutListHandling();

        /** Comes after every value, whichever way a key is sorted. */
        private static final Object END = new Object();

        private final TreeMap<List<Object>, Set<Object>> entries = new TreeMap<>(this::compare);
        private final List<Boolean> ascending;
        private boolean filled;

        TreeIndex(String name, List<IndexKey> keys) {
            super(name, keys, true);
            ascending = keys.stream().map(IndexKey::isAscending).toList();
        }

        /** Whether positions come in the order wanted: that of the keys behind those for which the query has a value. */
        boolean sortsAs(Document query, Document order) {
            if (order == null || order.isEmpty()) {
                return false;
            }
            int place = 0;
            while (place < keys().size() && isValue(query, keys().get(place))) {
                place++;
            }
            for (var wanted : order.entrySet()) {
                if (place == keys().size()
                        || !keys().get(place).equals(wanted.getKey())
                        || ascending.get(place) != ((Number) wanted.getValue()).intValue() > 0) {
                    return false;
                }
                place++;
            }
            return true;
        }

        /** How much of the query this index answers: its leading keys that are given, and a range after them. */
        int narrows(Document query) {
            int score = 0;
            for (String key : keys()) {
                if (isValue(query, key)) {
                    score += 2;
                } else {
                    return query.get(key) instanceof Document ? score + 1 : score;
                }
            }
            return score;
        }

        @Override
        public List<Object> getPositions(Document query) {
            var found = new LinkedHashSet<Object>();
            collect(query, found);
            return new ArrayList<>(found);
        }

        private void collect(Document query, Set<Object> found) {
            var low = new ArrayList<Object>();
            var high = new ArrayList<Object>();
            for (int place = 0; place < keys().size(); place++) {
                String key = keys().get(place);
                if (isValue(query, key)) {
                    low.add(query.get(key));
                    high.add(query.get(key));
                    continue;
                }
                if (ascending.get(place) && query.get(key) instanceof Document range) {
                    if (!bound(range, "$gt", "$gte", low) && wantsValue(range)) {
                        low.add(null); // behind all that have none, as a partial index leaves them out
                        low.add(END);
                    }
                    bound(range, "$lt", "$lte", high);
                }
                break;
            }
            high.add(END);
            entries.subMap(low, true, high, true).values().forEach(found::addAll);
        }

        private static boolean bound(Document range, String open, String closed, List<Object> end) {
            Object value = range.getOrDefault(open, range.get(closed));
            return value != null && end.add(value);
        }

        /** Whether a document without the key, or with null there, cannot fit; what is looked for so is never stored as null. */
        private static boolean wantsValue(Document range) {
            return range.containsKey("$lt") || range.containsKey("$lte") || Boolean.TRUE.equals(range.get("$exists"));
        }

        private static boolean isValue(Document query, String key) {
            return query.containsKey(key) && !(query.get(key) instanceof Document)
                    && !(query.get(key) instanceof Collection);
        }

        /** Value by value; a list that the other begins with comes first, so it bounds all that follow from it. */
        private int compare(List<Object> one, List<Object> other) {
            for (int place = 0; place < Math.min(one.size(), other.size()); place++) {
                Object left = one.get(place);
                Object right = other.get(place);
                if (left == END || right == END) {
                    if (left != right) {
                        return left == END ? 1 : -1;
                    }
                    continue;
                }
                int order = VALUES.compare(left, right);
                if (order != 0) {
                    return ascending.get(place) ? order : -order;
                }
            }
            return Integer.compare(one.size(), other.size());
        }

        /** The entries of a document: one, or one for each element of the one array among its keys. */
        private List<List<Object>> entriesOf(Document document) {
            List<List<Object>> found = new ArrayList<>(List.of(List.of()));
            for (String key : keys()) {
                Object value = Utils.getSubdocumentValueCollectionAware(document, key);
                Collection<?> values = value instanceof Collection<?> many ? many : Collections.singletonList(value);
                List<List<Object>> longer = new ArrayList<>();
                for (List<Object> begun : found) {
                    for (Object each : values) {
                        var entry = new ArrayList<>(begun);
                        entry.add(Missing.isNullOrMissing(each) ? null : each);
                        longer.add(entry);
                    }
                }
                found = longer;
            }
            return found;
        }

        @Override
        public boolean isEmpty() {
            return false; // else the server fills it, reading all documents twice
        }

        @Override
        public void add(Document document, Object position, MongoCollection<Object> collection) {
            if (!filled) {
                return;
            }
            entriesOf(document).forEach(entry -> entries.computeIfAbsent(entry, any -> new LinkedHashSet<>()).add(position));
        }

        @Override
        public Object remove(Document document) {
            Object position = document.get("_id");
            for (List<Object> entry : entriesOf(document)) {
                entries.computeIfPresent(entry, (any, all) -> all.remove(position) && all.isEmpty() ? null : all);
            }
            return null;
        }

        @Override
        public void updateInPlace(Document old, Document changed, Object position, MongoCollection<Object> collection) {
            if (filled && !Objects.equals(entriesOf(old), entriesOf(changed))) {
                remove(old);
                add(changed, position, collection);
            }
        }

        @Override
        public Object getPosition(Document document) {
            return null;
        }

        @Override
        public void checkAdd(Document document, MongoCollection<Object> collection) {}

        @Override
        public void checkUpdate(Document old, Document changed, MongoCollection<Object> collection) {}

        @Override
        public boolean canHandle(Document query) {
            return false; // the collection asks narrows
        }

        @Override
        public long getCount() {
            return entries.size();
        }

        @Override
        public long getDataSize() {
            return entries.size();
        }

        @Override
        public void drop() {
            entries.clear();
        }
    }
}
