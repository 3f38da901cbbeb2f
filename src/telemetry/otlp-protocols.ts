/** Apart from their implementations, which load only where they are used. */
export const otlpProtocols = ["grpc", "http"] as const;

export type OtlpProtocol = (typeof otlpProtocols)[number];
