export interface GcpSettings {
  /** A service account's key, or a configuration of workload identity federation; without it the metadata server is asked. */
  readonly credentialsPath?: string | undefined;
  /** Other addresses than Google's own. That of the metadata server is `GCE_METADATA_HOST` in the environment. */
  readonly endpoints?: {
    readonly functions?: string | undefined;
    readonly storage?: string | undefined;
    /** Of the tokens for a service account's key. */
    readonly token?: string | undefined;
  };
}
