// Help as oclif renders it, with one correction: what counts as a topic.

import { Help } from '@oclif/core/help';
import type { Interfaces } from '@oclif/core';

/** oclif takes `ls` for a topic because `models ls` ends in it; a topic is what commands begin with. */
export default class CommandLineHelp extends Help {
  protected override get sortedTopics(): Interfaces.Topic[] {
    return super.sortedTopics.filter((topic) => this.config.commandIDs.some((id) => id.startsWith(`${topic.name}:`)));
  }
}
