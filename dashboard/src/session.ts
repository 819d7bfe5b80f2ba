// Who is signed in. Passwords go into aws-amplify's SRP and nowhere else.
import { signal } from '@preact/signals';
import { Amplify } from 'aws-amplify';
import {
  confirmSignIn,
  fetchAuthSession,
  signIn as amplifySignIn,
  signOut as amplifySignOut,
  type SignInOutput,
} from 'aws-amplify/auth';
import { ApiError } from './api/graphql';
import type { Config } from './config';

const OPERATORS = 'operators';
const BUILDING = 'building:';

export interface Person {
  readonly name: string;
  readonly operator: boolean;
  /** Buildings that the groups grant, in order. */
  readonly buildings: readonly string[];
}

/** What Cognito wants next of somebody who signs in. */
export type Challenge = 'new-password' | 'code';

export type Session =
  | { readonly kind: 'starting' }
  | { readonly kind: 'signed-out'; readonly notice: string | null }
  | { readonly kind: 'challenged'; readonly challenge: Challenge }
  | { readonly kind: 'signed-in'; readonly person: Person };

export const session = signal<Session>({ kind: 'starting' });

const ENDED = 'Your session has ended. Sign in again to go on where you were.';

export async function startSession(config: Config): Promise<void> {
  const { userPoolId, userPoolClientId, userPoolEndpoint } = config;
  Amplify.configure({
    Auth: {
      Cognito: {
        userPoolId,
        userPoolClientId,
        ...(userPoolEndpoint === null ? {} : { userPoolEndpoint }),
      },
    },
  });
  await enter(null);
}

/** Throws an Error whose message is for the person at the form. */
export async function signIn(email: string, password: string): Promise<void> {
  const username = email.trim();
  const attempt = () =>
    amplifySignIn({ username, password, options: { authFlowType: 'USER_SRP_AUTH' } });
  await proceed(
    attempt().catch(async (error: unknown) => {
      // Another tab's session, or one whose tokens are stale: leave it, and try once more.
      if (nameOf(error) !== 'UserAlreadyAuthenticatedException') throw error;
      await amplifySignOut();
      return attempt();
    }),
  );
}

/** Answer a challenge: with the new password, or the code. Throws as `signIn`. */
export async function answerChallenge(response: string): Promise<void> {
  await proceed(confirmSignIn({ challengeResponse: response }));
}

export async function signOut(): Promise<void> {
  await amplifySignOut().catch(() => undefined); // Tokens here are gone even if Cognito is.
  session.value = { kind: 'signed-out', notice: null };
}

/** The access token, refreshed if it has run out. Throws ApiError `session` or `network`. */
export async function accessToken(): Promise<string> {
  const { tokens } = await fetchAuthSession().catch((error: unknown) => {
    throw new ApiError('network', `the sign-in service cannot be reached (${String(error)})`);
  });
  if (tokens !== undefined) return tokens.accessToken.toString();
  if (session.peek().kind === 'signed-in') {
    session.value = { kind: 'signed-out', notice: ENDED };
  }
  throw new ApiError('session', ENDED);
}

async function proceed(answer: Promise<SignInOutput>): Promise<void> {
  const { nextStep } = await answer.catch((error: unknown) => {
    throw new Error(explain(error));
  });
  switch (nextStep.signInStep) {
    case 'DONE':
      await enter('Signed in, but the session could not be read. Try again.');
      break;
    case 'CONFIRM_SIGN_IN_WITH_NEW_PASSWORD_REQUIRED':
      session.value = { kind: 'challenged', challenge: 'new-password' };
      break;
    case 'CONFIRM_SIGN_IN_WITH_TOTP_CODE':
      session.value = { kind: 'challenged', challenge: 'code' };
      break;
    default:
      throw new Error(
        `Your account wants a step this page does not offer (${nextStep.signInStep}). ` +
          'Ask whoever manages your account.',
      );
  }
}

async function enter(notice: string | null): Promise<void> {
  const { tokens } = await fetchAuthSession().catch(() => ({ tokens: undefined }));
  if (tokens === undefined) {
    session.value = { kind: 'signed-out', notice };
    return;
  }
  const claims = tokens.accessToken.payload;
  const email = tokens.idToken?.payload.email;
  const name = typeof email === 'string' ? email : 'signed in';
  session.value = { kind: 'signed-in', person: personOf(name, claims['cognito:groups']) };
}

/** What the groups of a token grant; the API checks the same, this only says what to offer. */
export function personOf(name: string, groups: unknown): Person {
  const names = Array.isArray(groups) ? groups.map(String) : [];
  return {
    name,
    operator: names.includes(OPERATORS),
    buildings: names
      .filter((group) => group.startsWith(BUILDING))
      .map((group) => group.slice(BUILDING.length))
      .sort(),
  };
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

function explain(error: unknown): string {
  switch (nameOf(error)) {
    case 'NotAuthorizedException':
    case 'UserNotFoundException':
      return 'Email or password is wrong.';
    case 'InvalidPasswordException':
      return `That password is too weak. ${messageOf(error)}`;
    case 'CodeMismatchException':
    case 'EnableSoftwareTokenMFAException':
      return 'That code is wrong or too old. Enter the one your authenticator shows now.';
    case 'LimitExceededException':
    case 'TooManyRequestsException':
      return 'Too many attempts. Wait a few minutes and try again.';
    case 'PasswordResetRequiredException':
      return 'Your password has to be reset. Ask whoever manages your account.';
    case 'NetworkError':
      return 'The sign-in service cannot be reached. Check your network and try again.';
    default:
      return messageOf(error);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
