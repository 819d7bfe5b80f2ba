// Runs when somebody subscribes. AppSync then pushes batches whose buildingId is the argument's.
import { authorizeBuilding } from './authorize.js';

export function request(ctx) {
  authorizeBuilding(ctx);
  return { payload: null };
}

export function response() {
  return null;
}
