// Hands the batch back, which is what makes AppSync push it. IAM alone may call it (schema).

export function request(ctx) {
  return { payload: ctx.args.batch };
}

export function response(ctx) {
  return ctx.result;
}
