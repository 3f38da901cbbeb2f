/** How a connection is encrypted: from the start, by STARTTLS, by STARTTLS where the server offers it, or never. */
export const encryptions = ["tls", "starttls", "opportunistic", "none"] as const;
export type Encryption = (typeof encryptions)[number];

export interface MailServer {
  readonly host: string;
  readonly port: number;
  readonly encryption: Encryption;
  /** Certificates, PEM: trusted instead of the authorities that Node knows. */
  readonly ca?: string | undefined;
  readonly login?: Login | undefined;
}

export interface Login {
  readonly user: string;
  readonly password: string;
  /** Also over a connection that is not encrypted. */
  readonly unencrypted: boolean;
}

export interface Mail {
  /** The same for the same mail sent again: servers that got it twice can tell. Letters, digits, `-`. */
  readonly id: string;
  readonly date: Date;
  /** `hallux@example.org` or `Hallux <hallux@example.org>`; the recipients likewise. */
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly text: string;
  /** Beside the text, for those who can show it. */
  readonly html?: string | undefined;
}

export interface Mailer {
  /**
   * Resolves when the server has accepted the mail for every recipient. Where it has for some only, that is `invalid`, which is not
   * tried again: those would get it twice. A dry run ends before it says who is to get a mail.
   */
  send(mail: Mail, server: MailServer, signal: AbortSignal): Promise<void>;
}

/** The mail address in it, without a name; undefined where it is none. */
export function addressIn(text: string): string | undefined {
  return /^(?:[^<>"\p{Cc}]*<([^\s<>@,]+@[^\s<>@,]+)>|([^\s<>@,]+@[^\s<>@,]+))$/u
    .exec(text.trim())
    ?.slice(1)
    .find((address) => address !== undefined);
}
