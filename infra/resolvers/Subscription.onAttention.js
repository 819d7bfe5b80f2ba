// Runs when an operator subscribes. AppSync then pushes, of all buildings, the batches whose
// `attention` is the argument's. It must be true: false would be every other change of the fleet.
import { util } from '@aws-appsync/utils';
import { authorizeOperator } from './authorize.js';

export function request(ctx) {
  authorizeOperator(ctx);
  if (!ctx.args.attention) {
    util.error('attention is false, must be true', 'BadRequest');
  }
  return { payload: null };
}

export function response() {
  return null;
}
