// Countersign on Azure: two Flex Consumption apps from one code base, and what they work with. `azd up` deploys it;
// docs/operations.md says what each switch means, what it costs to turn, and what has not been tried.
targetScope = 'subscription'

@minLength(1)
@maxLength(64)
@description('Name of the azd environment; names of resources are derived from it.')
param environmentName string

@minLength(1)
@metadata({ azd: { type: 'location' } })
@description('Where everything lives. It must offer Flex Consumption with Python 3.13.')
param location string

// Who is calling
@allowed(['jwt', 'easyauth'])
@description('How callers prove who they are; see "Who is calling" in README.md.')
param authMode string = 'jwt'
@description('Application (client) id of the Entra app registration whose tokens the API takes.')
param authClientId string
@description('Directory that issues the tokens.')
param authTenantId string = tenant().tenantId
@description('Claim that holds tenants; empty: memberships are kept in the store.')
param tenantClaim string = ''
param rolesClaim string = 'roles'
@description('`principal=tenant` by commas; a principal is `<directory id>:<object id>` of a person.')
param firstOperators string = ''
@description('JSON list of {name, command_types, tenants}: who else may put commands on a lane.')
param outsideProducers string = '[]'

// What may be switched on
@description('Virtual network and private endpoints; makes Service Bus Premium.')
param privateNetwork bool = false
@minValue(0)
@maxValue(1000000)
@description('0: Cosmos DB serverless. Else the autoscale maximum in request units per second, from 1000 in steps of 1000.')
param cosmosMaxThroughput int = 0
@description('Azure OpenAI account with a deployment of each model, used through the identity; no key.')
param azureOpenAi bool = false
@description('Model (and, with azureOpenAi, deployment) that phrases answers; empty: the grammar answers alone.')
param model string = ''
@description('Version of the model that azureOpenAi deploys; `az cognitiveservices model list` tells which there are.')
param modelVersion string = ''
@description('Thousands of tokens per minute of that deployment.')
param modelCapacity int = 50
@description('An endpoint with the Responses API, where it is not azureOpenAi.')
param modelBaseUrl string = ''
@secure()
@description('Key of that endpoint; kept in Key Vault.')
param modelApiKey string = ''
param modelFallback string = ''
param modelTimeoutMs int = 8000
param modelMaxOutputTokens int = 2000
@description('Bank that carries out transfers; empty: transfers are denied.')
param bankUrl string = ''
@secure()
@description('Kept in Key Vault.')
param bankToken string = ''
@description('`tenant=account` by commas: the accounts that a tenant may pay from.')
param bankAccounts string = ''
@description('API Management in front of both apps.')
param apiManagement bool = false
@description('Who is told of alerts, and named as publisher of the API; empty: alerts are raised, and nobody is mailed.')
param alertEmail string = ''

// Sizes
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 100
@description('How many HTTP requests one instance of the first app takes at a time.')
param httpConcurrency int = 32
@description('How many streams one instance of the second app holds.')
param streamConcurrency int = 64
@minValue(1)
@maxValue(146000)
@description('Days for which a checkpoint of an audit chain cannot be changed or deleted, once the policy is locked.')
param checkpointRetentionDays int = 365
@description('Version of what is deployed; decisions and metrics carry it.')
param codeVersion string = ''

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }
var functionAppName = 'func-${token}'
var streamAppName = 'func-stream-${token}'
var hasSecrets = !empty(bankToken) || !empty(modelApiKey)

resource rg 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'br/public:avm/res/managed-identity/user-assigned-identity:0.6.0' = {
  scope: rg
  params: {
    name: 'id-${token}'
    location: location
    tags: tags
    enableTelemetry: false
  }
}

module monitoring 'monitoring.bicep' = {
  scope: rg
  params: {
    location: location
    tags: tags
    token: token
    principalId: identity.outputs.principalId
  }
}

module network 'network.bicep' = if (privateNetwork) {
  scope: rg
  params: {
    location: location
    tags: tags
    token: token
  }
}

var endpointSubnetId = privateNetwork ? network!.outputs.endpointSubnetId : ''
var zones = privateNetwork ? network!.outputs.zones : {}

module data 'data.bicep' = {
  scope: rg
  params: {
    location: location
    tags: tags
    token: token
    principalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
    endpointSubnetId: endpointSubnetId
    zones: zones
    cosmosMaxThroughput: cosmosMaxThroughput
    checkpointRetentionDays: checkpointRetentionDays
  }
}

module messaging 'messaging.bicep' = {
  scope: rg
  params: {
    location: location
    tags: tags
    token: token
    principalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
    endpointSubnetId: endpointSubnetId
    zones: zones
  }
}

module openAi 'openai.bicep' = if (azureOpenAi && !empty(model)) {
  scope: rg
  params: {
    location: location
    tags: tags
    token: token
    principalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
    endpointSubnetId: endpointSubnetId
    zones: zones
    model: model
    modelVersion: modelVersion
    fallback: modelFallback
    capacity: modelCapacity
  }
}

module secrets 'secrets.bicep' = if (hasSecrets) {
  scope: rg
  params: {
    location: location
    tags: tags
    token: token
    principalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
    endpointSubnetId: endpointSubnetId
    zones: zones
    bankToken: bankToken
    modelApiKey: modelApiKey
  }
}

// Event Grid dead-letters through the topic's own identity, which exists only now.
module deadLetterAccess 'dead-letter-access.bicep' = {
  scope: rg
  params: {
    storageAccountName: data.outputs.hostStorageName
    containerName: data.outputs.deadLetterContainer
    principalId: messaging.outputs.topicPrincipalId
  }
}

var secretUri = hasSecrets ? secrets!.outputs.uri : ''

// What shared/settings.py reads, and what the platform does. tests/architecture/test_infrastructure.py compares.
var settings = {
  AUTH_MODE: authMode
  JWT_ISSUER: '${environment().authentication.loginEndpoint}${authTenantId}/v2.0'
  JWT_AUDIENCE: authClientId
  JWT_JWKS_URI: '${environment().authentication.loginEndpoint}${authTenantId}/discovery/v2.0/keys'
  TENANT_CLAIM: tenantClaim
  ROLES_CLAIM: rolesClaim
  FIRST_OPERATORS: firstOperators
  OUTSIDE_PRODUCERS: outsideProducers
  MODEL: model
  MODEL_FALLBACK: modelFallback
  MODEL_TIMEOUT_MS: string(modelTimeoutMs)
  MODEL_MAX_OUTPUT_TOKENS: string(modelMaxOutputTokens)
  OPENAI_BASE_URL: azureOpenAi && !empty(model) ? openAi!.outputs.baseUrl : modelBaseUrl
  OPENAI_API_KEY: empty(modelApiKey) ? '' : '@Microsoft.KeyVault(SecretUri=${secretUri}secrets/model-api-key)'
  BANK_URL: bankUrl
  BANK_TOKEN: empty(bankToken) ? '' : '@Microsoft.KeyVault(SecretUri=${secretUri}secrets/bank-token)'
  BANK_ACCOUNTS: bankAccounts
  CODE_VERSION: codeVersion
  AZURE_CLIENT_ID: identity.outputs.clientId
  COSMOS_ENDPOINT: data.outputs.cosmosEndpoint
  COSMOS_DATABASE: data.outputs.cosmosDatabase
  COSMOS_CONTAINER: data.outputs.cosmosContainer
  CHECKPOINTS_URL: data.outputs.checkpointsUrl
  SERVICEBUS_CONNECTION__fullyQualifiedNamespace: messaging.outputs.serviceBusNamespace
  SERVICEBUS_CONNECTION__credential: 'managedidentity'
  SERVICEBUS_CONNECTION__clientId: identity.outputs.clientId
  EVENTGRID_TOPIC_ENDPOINT: messaging.outputs.topicEndpoint
  EVENTHUB_CONNECTION__fullyQualifiedNamespace: messaging.outputs.eventHubsNamespace
  EVENTHUB_NAME: messaging.outputs.eventHubName
  AzureWebJobsStorage__blobServiceUri: data.outputs.hostBlobEndpoint
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.outputs.clientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.outputs.clientId};Authorization=AAD'
  PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: 'true'
  // Our own spans tell of every call; these would tell its address too, and a bank's has account numbers.
  OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: 'azure_sdk,fastapi,httpx,httpx2,requests,urllib,urllib3'
}

var apps = [
  {
    service: 'functions'
    name: functionAppName
    script: 'function_app.py'
    package: 'package-functions'
    concurrency: httpConcurrency
  }
  {
    service: 'stream'
    name: streamAppName
    script: 'stream_app.py'
    package: 'package-stream'
    concurrency: streamConcurrency
  }
]

module app 'app.bicep' = [
  for one in apps: {
    scope: rg
    params: {
      location: location
      tags: tags
      service: one.service
      name: one.name
      settings: union(settings, { PYTHON_SCRIPT_FILE_NAME: one.script })
      identityId: identity.outputs.resourceId
      packageUrl: '${data.outputs.hostBlobEndpoint}${one.package}'
      workspaceId: monitoring.outputs.workspaceId
      endpointSubnetId: endpointSubnetId
      zones: zones
      appSubnetId: privateNetwork ? network!.outputs.appSubnetId : ''
      maximumInstanceCount: maximumInstanceCount
      httpConcurrency: one.concurrency
      easyAuthClientId: authMode == 'easyauth' ? authClientId : ''
      authTenantId: authTenantId
    }
  }
]

module alerts 'alerts.bicep' = {
  scope: rg
  params: {
    location: location
    tags: tags
    token: token
    workspaceId: monitoring.outputs.workspaceId
    serviceBusId: messaging.outputs.serviceBusId
    topicId: messaging.outputs.topicId
    alertEmail: alertEmail
  }
}

module gateway 'gateway.bicep' = if (apiManagement) {
  scope: rg
  params: {
    location: location
    tags: tags
    token: token
    publisherEmail: alertEmail
    workspaceId: monitoring.outputs.workspaceId
    subnetId: privateNetwork ? network!.outputs.gatewaySubnetId : ''
    functionAppUrl: 'https://${app[0].outputs.hostName}'
    streamAppUrl: 'https://${app[1].outputs.hostName}'
    authTenantId: authTenantId
    authClientId: authClientId
  }
}

// azd keeps these in its environment; the postdeploy hook and people read them there.
output AZURE_LOCATION string = location
output AZURE_TENANT_ID string = tenant().tenantId
output AZURE_RESOURCE_GROUP string = rg.name
output SERVICE_FUNCTIONS_NAME string = functionAppName
output SERVICE_STREAM_NAME string = streamAppName
output SERVICE_FUNCTIONS_URI string = 'https://${app[0].outputs.hostName}'
output SERVICE_STREAM_URI string = 'https://${app[1].outputs.hostName}'
output FUNCTION_APP_ID string = app[0].outputs.resourceId
output EVENTGRID_TOPIC_NAME string = messaging.outputs.topicName
output HOST_STORAGE_ID string = data.outputs.hostStorageId
output DEAD_LETTER_CONTAINER string = data.outputs.deadLetterContainer
output CHECKPOINT_STORAGE_NAME string = data.outputs.checkpointStorageName
output COSMOS_ENDPOINT string = data.outputs.cosmosEndpoint
output API_MANAGEMENT_NAME string = apiManagement ? gateway!.outputs.name : ''
