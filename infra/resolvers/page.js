// Paging: how many items a page may hold, and what DynamoDB answered.
import { util } from '@aws-appsync/utils';

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 100;

export function limitOf(ctx) {
  const limit = ctx.args.limit ?? DEFAULT_LIMIT;
  if (limit < 1 || limit > MAX_LIMIT) {
    util.error(`limit is ${limit}, must be 1 to ${MAX_LIMIT}`, 'BadRequest');
  }
  return limit;
}

// An answer of DynamoDB, or the error that it ended in.
export function pageOf(ctx) {
  if (ctx.error) {
    util.error(ctx.error.message, ctx.error.type);
  }
  return { items: ctx.result.items ?? [], nextToken: ctx.result.nextToken ?? null };
}
