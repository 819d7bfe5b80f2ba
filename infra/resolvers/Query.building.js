// One query paints a dashboard: tiles and lockers of a building stand in one partition.
import { util } from '@aws-appsync/utils';
import { authorizeBuilding } from './authorize.js';
import { locker, tile } from './items.js';
import { pageOf } from './page.js';

// About 0.5 KB an item: half of what DynamoDB puts in a page (1 MB).
const PAGE = 1000;

export function request(ctx) {
  authorizeBuilding(ctx);
  return {
    operation: 'Query',
    query: {
      expression: '#pk = :pk',
      expressionNames: { '#pk': 'pk' },
      expressionValues: util.dynamodb.toMapValues({ ':pk': `BUILDING#${ctx.args.buildingId}` }),
    },
    // A viewer subscribes, then reads. What was written and pushed just before it subscribed must
    // be in this answer, or nobody will ever tell it.
    consistentRead: true,
    limit: PAGE,
    nextToken: ctx.args.nextToken ?? null,
  };
}

export function response(ctx) {
  const page = pageOf(ctx);
  return {
    buildingId: ctx.args.buildingId,
    tiles: page.items.filter((item) => item.entity === 'TILE').map(tile),
    lockers: page.items.filter((item) => item.entity === 'LOCKER').map(locker),
    nextToken: page.nextToken,
  };
}
