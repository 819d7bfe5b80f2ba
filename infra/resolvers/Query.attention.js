// Doors and lockers anywhere that somebody should look at: the sparse index, newest first.
import { util } from '@aws-appsync/utils';
import { authorizeOperator } from './authorize.js';
import { locker, tile } from './items.js';
import { limitOf, pageOf } from './page.js';

export function request(ctx) {
  authorizeOperator(ctx);
  return {
    operation: 'Query',
    index: 'attention',
    query: {
      expression: '#attention = :attention',
      expressionNames: { '#attention': 'attention' },
      expressionValues: util.dynamodb.toMapValues({ ':attention': ctx.args.status }),
    },
    scanIndexForward: false,
    limit: limitOf(ctx),
    nextToken: ctx.args.nextToken ?? null,
  };
}

function attentionItem(item) {
  return {
    attention: item.attention,
    buildingId: item.building,
    lockerId: item.locker,
    doorId: item.door ?? null,
    receivedAt: item.received_at,
    tile: item.entity === 'TILE' ? tile(item) : null,
    locker: item.entity === 'LOCKER' ? locker(item) : null,
  };
}

export function response(ctx) {
  const page = pageOf(ctx);
  return { items: page.items.map(attentionItem), nextToken: page.nextToken };
}
