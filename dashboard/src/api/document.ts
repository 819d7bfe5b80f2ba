// The GraphQL documents with the types that `npm run codegen` made of them and the schema.
import attention from './attention.graphql?raw';
import building from './building.graphql?raw';
import buildings from './buildings.graphql?raw';
import lockerHistory from './lockerHistory.graphql?raw';
import onAttention from './onAttention.graphql?raw';
import onTiles from './onTiles.graphql?raw';
import type {
  AttentionListQuery,
  AttentionListQueryVariables,
  BuildingListQuery,
  BuildingListQueryVariables,
  BuildingQuery,
  BuildingQueryVariables,
  LockerHistoryQuery,
  LockerHistoryQueryVariables,
  OnAttentionSubscription,
  OnAttentionSubscriptionVariables,
  OnTilesSubscription,
  OnTilesSubscriptionVariables,
} from './types';

/** A document's text; the types exist for the compiler alone. */
export interface Document<Data, Variables> {
  readonly text: string;
  readonly types?: (variables: Variables) => Data;
}

export const ATTENTION: Document<AttentionListQuery, AttentionListQueryVariables> = {
  text: attention,
};
export const BUILDING: Document<BuildingQuery, BuildingQueryVariables> = { text: building };
export const BUILDINGS: Document<BuildingListQuery, BuildingListQueryVariables> = {
  text: buildings,
};
export const LOCKER_HISTORY: Document<LockerHistoryQuery, LockerHistoryQueryVariables> = {
  text: lockerHistory,
};
export const ON_ATTENTION: Document<OnAttentionSubscription, OnAttentionSubscriptionVariables> = {
  text: onAttention,
};
export const ON_TILES: Document<OnTilesSubscription, OnTilesSubscriptionVariables> = {
  text: onTiles,
};
