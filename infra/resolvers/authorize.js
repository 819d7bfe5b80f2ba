// Who may see what. People come with a Cognito token; their groups say which buildings they manage.
import { util } from '@aws-appsync/utils';

const OPERATORS = 'operators';

// Machines come with IAM: their policy names the fields they may call, and nothing is left to check.
function isMachine(identity) {
  return !!identity && !!identity.userArn;
}

function groupsOf(identity) {
  return (identity && identity.groups) || [];
}

export function authorizeBuilding(ctx) {
  const groups = groupsOf(ctx.identity);
  const building = `building:${ctx.args.buildingId}`;
  if (!isMachine(ctx.identity) && !groups.includes(OPERATORS) && !groups.includes(building)) {
    util.unauthorized();
  }
}

export function authorizeOperator(ctx) {
  if (!isMachine(ctx.identity) && !groupsOf(ctx.identity).includes(OPERATORS)) {
    util.unauthorized();
  }
}
