// What is known of a language for making sentences: pieces that fit together in any combination, and whole sentences.

/** Pieces are separated by ` | ` or line breaks. */
export interface LanguagePieces {
  /** Who: singular, as a subject. */
  readonly subjects: string;
  /** Does: third person singular, present or past, taking an object. */
  readonly verbs: string;
  /** What: as an object. */
  readonly objects: string;
  readonly places: string;
  readonly times: string;
  readonly sentences: string;
  /** True if the verb comes second when a time comes first. */
  readonly verbSecond: boolean;
}
