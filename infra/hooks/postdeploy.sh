#!/bin/sh
# After the code: an event subscription needs the function that it delivers to, and the gateway the API's description.
# azd hands its environment over; `az` must have signed in to the same subscription. Running it again changes nothing.
set -eu

: "${AZURE_RESOURCE_GROUP:?run this through azd: azd hooks run postdeploy}"

subscribe() {
  az deployment group create \
    --subscription "$AZURE_SUBSCRIPTION_ID" \
    --resource-group "$AZURE_RESOURCE_GROUP" \
    --name event-subscription \
    --template-file "$(dirname "$0")/../event-subscription.bicep" \
    --parameters \
      topicName="$EVENTGRID_TOPIC_NAME" \
      functionAppId="$FUNCTION_APP_ID" \
      storageAccountId="$HOST_STORAGE_ID" \
      deadLetterContainer="$DEAD_LETTER_CONTAINER" \
    --output none
}

# The platform lists a function, and a role takes effect, some time after they were made.
for wait in 30 60 120 0; do
  if subscribe; then break; fi
  if [ "$wait" -eq 0 ]; then
    echo "the event subscription could not be made" >&2
    exit 1
  fi
  echo "not yet; again in $wait s" >&2
  sleep "$wait"
done

if [ -n "${API_MANAGEMENT_NAME:-}" ]; then
  az apim api import \
    --subscription "$AZURE_SUBSCRIPTION_ID" \
    --resource-group "$AZURE_RESOURCE_GROUP" \
    --service-name "$API_MANAGEMENT_NAME" \
    --api-id countersign \
    --path countersign \
    --service-url "$SERVICE_FUNCTIONS_URI" \
    --specification-format OpenApiJson \
    --specification-path "$(dirname "$0")/../../docs/openapi.json" \
    --subscription-required false \
    --output none
fi

echo "Ready when this says so: ${SERVICE_FUNCTIONS_URI}/api/ready"
