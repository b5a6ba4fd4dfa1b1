// Deployed by the postdeploy hook: an event subscription needs the function that it delivers to.
param topicName string
@description('Resource id of the first function app.')
param functionAppId string
@description('Where events go that could not be delivered for a day.')
param storageAccountId string
param deadLetterContainer string

resource topic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: topicName
}

resource subscription 'Microsoft.EventGrid/topics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'transaction-decision-changed'
  properties: {
    eventDeliverySchema: 'CloudEventSchemaV1_0'
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: '${functionAppId}/functions/transaction_decision_changed'
        maxEventsPerBatch: 1
      }
    }
    filter: {
      includedEventTypes: ['Countersign.TransactionDecisionChanged.v1']
    }
    retryPolicy: {
      maxDeliveryAttempts: 30
      eventTimeToLiveInMinutes: 1440
    }
    // Off by default: an event that nobody could deliver would be gone.
    deadLetterWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: storageAccountId
          blobContainerName: deadLetterContainer
        }
      }
    }
  }
}
