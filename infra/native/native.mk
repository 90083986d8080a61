# A real Kafka on this machine without a container engine. Included by the Makefile.
KAFKA_PORT ?= 9092
KAFKA_BOOTSTRAP ?= 127.0.0.1:$(KAFKA_PORT)

native: ## start Kafka 4.1 as one native process (KAFKA_PORT=9092)
	@KAFKA_PORT=$(KAFKA_PORT) infra/native/kafka start

native-stop: ## stop it
	@infra/native/kafka stop

.PHONY: native native-stop
