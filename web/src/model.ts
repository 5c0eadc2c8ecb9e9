// What the control plane and the analyzer answer; docs in their openapi.json. Times are RFC 3339, shares
// and rates fractions, durations seconds.

export type Situation =
  | 'waiting' | 'running' | 'held' | 'failed' | 'passed' | 'finished' | 'rolling back' | 'rolled back'

export interface Figures {
  arm: 'baseline' | 'candidate'
  segment?: string
  requests: number
  per_second: number
  unanswered: number
  wrong: number
  error_rate: number | null
  availability: number | null
}
export interface ArmFigures extends Figures {
  p50_s: number | null
  p95_s: number | null
  p99_s: number | null
  p999_s: number | null
  cpu: number | null
  memory: number | null
  network: number | null
  cache_hits: number | null
  revenue_per_minute: number | null
  practice_per_minute: number | null
}
export interface Window {
  from: string
  to: string
  missing_s: number
  baseline: ArmFigures
  candidate: ArmFigures
  revenue_delta: number | null
  segments: Figures[]
}

export interface Evidence {
  criterion: string
  verdict: 'pass' | 'fail' | 'undecided'
  value: number | null
  /** Absent for what is read rather than inferred: levels, counts of incidents. */
  log_e_pass?: number | null
  log_e_fail?: number | null
  more_needed?: number | null
  text: string
}

export type PhaseStatus = 'waiting' | 'running' | 'passed' | 'failed' | 'rolled_back'
export interface Phase {
  name: string
  kind: 'stage' | 'monitoring'
  status: PhaseStatus
  share: number
  start: string
  length_s: number
  began: string | null
  decided: string | null
  elapsed_s?: number
  remaining_s?: number
  missing_s?: number
  next_checkpoint?: string
  attempt?: number
  approvals?: { role: string; by: string | null }[]
  overridden_by?: string
  checks?: { check: string; ok: boolean | null }[]
  waits_for?: string
  evidence: Evidence[]
}

export type Severity = 'critical' | 'high' | 'medium' | 'low'
export interface Incident {
  id: number
  severity: Severity
  title: string
  source: string
  phase: string
  opened: string
  times: number
  called: string
  called_to: number
  /** The first call and the last ones; a person of null: nobody was on duty. */
  calls: { at: string; person: string | null }[]
  /** By the reaction that opened it: gates do not count it. */
  answered?: boolean
  acknowledged: string | null
  acknowledged_by?: string
  resolved: string | null
  resolved_by?: string
  evidence: Evidence[]
}

export interface Decision {
  at: string
  phase: string
  decision: string
  share: number
  cause: string
}

export interface PeopleGate {
  name: string
  at: string
  criteria: string[]
  approvals: { role: string; by: string | null; report: string | null; no_go: string | null }[]
  overridden_by: string | null
  passed: string | null
}

export interface Impact {
  measure: string
  estimate: number
  low: number
  high: number
  source: string
  as_of: string
  valid_until: string
  person: string | null
  counts: boolean
  why_not: string | null
}

export interface Status {
  plan: string
  title: string
  now: string
  attempt: number
  situation: Situation
  phase: string | null
  share: { wanted: number; allowed: number; seen: number | null; cause: string }
  telemetry_age_s: number | null
  held_by: string | null
  roll_back?: { since: string; cause: string; verified: string | null }
  on_call?: { shift: string; people: string[] }
  phases: Phase[]
  figures?: Window
  gates: PeopleGate[]
  impacts: Impact[]
  incidents: Incident[]
  decisions: Decision[]
  journal: { records: number; head: string }
}

export interface Rule {
  text: string
  measure: string
  below: boolean
  limit: number
  unit: 'fraction' | 'seconds' | 'count' | 'points'
  for_s?: number
  watch_s?: number
}
export interface PlanPhase {
  name: string
  kind: 'stage' | 'monitoring'
  share?: number
  length_s: number
  checkpoints_s?: number[]
  criteria: Rule[]
  warnings?: Rule[]
  reactions?: { when: Rule; share: number; severity: Severity }[]
  breached_for_s: number
  fail_share?: number
  on_pass: string
}
export interface Role {
  name: string
  title: string
  people: string[]
  decides: boolean
}
export interface Plan {
  plan: string
  title: string
  baseline: string
  candidate: string
  balancer: string
  currency: string
  slot_s: number
  window_s: number
  alpha: number
  segments: string[]
  acknowledge_within_s: number
  begin: string
  end: string
  phases: PlanPhase[]
  work: { name: string; title: string; start: string; length_s: number; tasks: string[]; reports: string[] }[]
  roles: Role[]
  shifts: { name: string; from_s: number; to_s: number; people: string[] }[]
}

export interface Who {
  person: string | null
  role: string | null
}

export const kTraits = [
  'learning_velocity', 'domain_affinity', 'interaction_frequency', 'feedback_responsiveness', 'retention_strength',
] as const
export type Trait = (typeof kTraits)[number]
export type Traits = Record<Trait, number>
export interface Cohort {
  id: number
  archetype: string
  size: number
  share: number
  centroid: Traits
  silhouette: number | null
  stability: number | null
  sentence: string
}
export interface Cohorts {
  as_of: string
  learners: number
  k: number
  inertia: number
  silhouette: number | null
  adjusted_rand_index: number | null
  cohorts: Cohort[]
  timing_ms?: Record<string, number>
  engine: string
}
export interface Flow {
  from: number | null
  to: number | null
  learners: number
}
export interface Run extends Omit<Cohorts, 'timing_ms' | 'engine'> {
  number: number
  made: string
  times: number
  made_last: string
  seed: number
  flows: Flow[]
}
/** How much of the log was read for an answer. */
export interface Scan {
  records: number
  scanned: number
  complete: boolean
  took_ms: number
}
export interface History {
  weeks: { as_of: string; state: string | null; practice_events: number; traits: Traits | null }[]
  events: number
  log: Scan
  note: string | null
}
export interface LearnerEvent {
  time: string
  type: string
  id: string
  capability?: string
  domain?: string
  acted_on?: boolean
  score?: number
  duration_s?: number
  amount?: number
  currency?: string
  count?: number
  attributes?: Record<string, string>
}
export interface Events {
  events: LearnerEvent[]
  next: string | null
  found: number
  log: Scan
  note: string | null
}
export interface Learner {
  learner: string
  as_of: string
  state: string
  traits: Traits | null
  specialist: boolean
  cohort: { id: number; archetype: string; share: number } | null
  practice_events: number
  feedback: { received: number; acted_on: number }
  first_active: string | null
  last_active: string | null
  attributes: Record<string, string>
  engine: string
}

export interface ExperimentEntry {
  name: string
  question: string
  decision: string | null
  verdict: string | null
  as_of: string | null
  made: string | null
  took_ms: number
  fault: string | null
}
