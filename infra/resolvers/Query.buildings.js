// The names of all buildings that have, or had, a locker.
import { util } from '@aws-appsync/utils';
import { authorizeOperator } from './authorize.js';
import { limitOf, pageOf } from './page.js';

export function request(ctx) {
  authorizeOperator(ctx);
  return {
    operation: 'Query',
    query: {
      expression: 'pk = :pk',
      expressionValues: util.dynamodb.toMapValues({ ':pk': 'BUILDINGS' }),
    },
    limit: limitOf(ctx),
    nextToken: ctx.args.nextToken ?? null,
  };
}

export function response(ctx) {
  const page = pageOf(ctx);
  return { buildingIds: page.items.map((item) => item.building), nextToken: page.nextToken };
}
