// The file beside a prepared model that says how it is to be loaded.

/** Its name, in the folder of the prepared model. */
export const ARTEFACT_FILE = 'artefact.json';
