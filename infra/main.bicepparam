// What `azd env set NAME value` decides; a pipeline sets the same names as variables. Without AUTH_CLIENT_ID nothing is
// deployed: an API that cannot tell who is calling lets nobody in anyway.
using './main.bicep'

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')

param authMode = readEnvironmentVariable('AUTH_MODE', 'jwt')
param authClientId = readEnvironmentVariable('AUTH_CLIENT_ID')
param tenantClaim = readEnvironmentVariable('TENANT_CLAIM', '')
param rolesClaim = readEnvironmentVariable('ROLES_CLAIM', 'roles')
param firstOperators = readEnvironmentVariable('FIRST_OPERATORS', '')
param outsideProducers = readEnvironmentVariable('OUTSIDE_PRODUCERS', '[]')

param privateNetwork = bool(readEnvironmentVariable('PRIVATE_NETWORK', 'false'))
param cosmosMaxThroughput = int(readEnvironmentVariable('COSMOS_MAX_THROUGHPUT', '0'))
param apiManagement = bool(readEnvironmentVariable('API_MANAGEMENT', 'false'))
param alertEmail = readEnvironmentVariable('ALERT_EMAIL', '')

param azureOpenAi = bool(readEnvironmentVariable('AZURE_OPENAI', 'false'))
param model = readEnvironmentVariable('MODEL', '')
param modelVersion = readEnvironmentVariable('MODEL_VERSION', '')
param modelFallback = readEnvironmentVariable('MODEL_FALLBACK', '')
param modelBaseUrl = readEnvironmentVariable('OPENAI_BASE_URL', '')
param modelApiKey = readEnvironmentVariable('OPENAI_API_KEY', '')

param bankUrl = readEnvironmentVariable('BANK_URL', '')
param bankToken = readEnvironmentVariable('BANK_TOKEN', '')
param bankAccounts = readEnvironmentVariable('BANK_ACCOUNTS', '')

param codeVersion = readEnvironmentVariable('CODE_VERSION', '')
