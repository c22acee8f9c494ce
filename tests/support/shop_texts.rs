//! A small shop: a Deployment, a Service, steady traffic.

pub const SCENARIO: &str = "\
apiVersion: wavetank/v1
kind: Scenario
name: shop
duration: 4m
warmUp: 30s
manifests: [web.yaml]
cluster:
  nodePools:
    - {name: general, instanceType: aws/m5.large, count: 2}
workloads:
  - workload: Deployment/shop/web
    app: {start: 1s}
    requests: {concurrency: 4, queue: 50, cpuTime: {distribution: exponential, mean: 20ms}}
traffic:
  - {service: shop/web, load: {pattern: constant, rps: 20}, timeout: 2s}
objectives:
  - service: shop/web
    latency: {p95: 200ms}
    availability: 99
  - costPerMonth: 300
";

pub const MANIFESTS: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: example.com/web:v1
          ports: [{containerPort: 8080}]
          readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 2}
          resources: {requests: {cpu: 250m, memory: 128Mi}, limits: {cpu: 500m}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
";
