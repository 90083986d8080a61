# Real servers on this machine without a container engine. Included by the Makefile.
KAFKA_PORT ?= 9092
MONGO_PORT ?= 27017
ZIPKIN_PORT ?= 9411
KAFKA_BOOTSTRAP ?= 127.0.0.1:$(KAFKA_PORT)

native: native-kafka ## start Kafka, a MongoDB-compatible server and Zipkin (ports: KAFKA_PORT, MONGO_PORT, ZIPKIN_PORT)
	@MONGO_PORT=$(MONGO_PORT) infra/native/mongo start
	@ZIPKIN_PORT=$(ZIPKIN_PORT) infra/native/zipkin start

native-kafka:
	@KAFKA_PORT=$(KAFKA_PORT) infra/native/kafka start

native-stop: ## stop them
	@infra/native/zipkin stop
	@infra/native/kafka stop
	@infra/native/mongo stop

native-status: ## say which of them run, and where (fails unless all do)
	@failed=0; for each in kafka mongo zipkin; do infra/native/$$each status || failed=1; done; exit $$failed

.PHONY: native native-kafka native-stop native-status
