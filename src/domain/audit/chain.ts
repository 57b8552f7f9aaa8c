/** What happened, who asked, and to what: one row of the audit, before it is chained. */
export interface AuditEntry {
  readonly at: string;
  /** Stable, in dotted lower case: `run.intended`, `run.undo_intended`, `run.ended`, `release.published`. */
  readonly event: string;
  /** Key name and role, or the part of Fairlead that acted. */
  readonly actor: string;
  /** What it was done to: `host/h1/noderax-platform`, `release/noderax-platform/r2`. */
  readonly subject: string;
  readonly runId: string | null;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** A row as it stands in the database. `hash` covers the entry, its sequence and `previousHash`. */
export interface AuditRow extends AuditEntry {
  readonly sequence: number;
  readonly previousHash: string;
  readonly hash: string;
}
