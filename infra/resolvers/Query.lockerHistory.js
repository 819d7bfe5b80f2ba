// What happened at a locker, newest first.
import { util } from '@aws-appsync/utils';
import { authorizeBuilding } from './authorize.js';
import { doorEvent } from './items.js';
import { limitOf, pageOf } from './page.js';

export function request(ctx) {
  authorizeBuilding(ctx);
  return {
    operation: 'Query',
    query: {
      expression: '#pk = :pk AND begins_with(#sk, :events)',
      expressionNames: { '#pk': 'pk', '#sk': 'sk' },
      expressionValues: util.dynamodb.toMapValues({
        ':pk': `LOCKER#${ctx.args.buildingId}:${ctx.args.lockerId}`,
        ':events': 'EVENT#',
      }),
    },
    scanIndexForward: false,
    limit: limitOf(ctx),
    nextToken: ctx.args.nextToken ?? null,
  };
}

export function response(ctx) {
  const page = pageOf(ctx);
  return { items: page.items.map(doorEvent), nextToken: page.nextToken };
}
