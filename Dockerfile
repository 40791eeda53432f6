# Two images from one build: `mageline` (the default) and `demo`, the simulated Magento and ERP of docker-compose.yml.
# Plain Dockerfile syntax only, so that it builds with and without BuildKit.
ARG GO_IMAGE=golang:1.26.8-bookworm

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG COMMIT=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" \
    -o /out/ ./cmd/mageline ./cmd/mageline-demo

FROM scratch AS demo
COPY --from=build /out/mageline-demo /mageline-demo
USER 65532:65532
ENTRYPOINT ["/mageline-demo"]

# Nothing but the program and the roots that TLS needs: no shell, no package manager. Time zones are in the program.
FROM scratch AS mageline
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/mageline /mageline
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/mageline"]
