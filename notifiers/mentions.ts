/**
 * For texts that others pass on to chats and pages of which we know nothing: an invisible character keeps `<` from what makes it a
 * mention, a link or a tag, and `@` from the word that it would mention.
 */
export function withoutMentions(text: string): string {
  return text.replaceAll(/<(?=\S)/g, "<\u2060").replaceAll(/@(?=[\p{L}\p{N}_])/gu, "@\u2060");
}
